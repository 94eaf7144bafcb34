// A convolution as a product on the trunk, from views of its operands: what the steps of conv and of its gradients
// share. Plan side only.
//
// The weights need not be a tensor of (oc, c/group, kh, kw) in memory: their strides are per axis and may be negative,
// and groups lie any distance apart, so that the gradient of the input is a convolution over turned weights.
#pragma once

#include <memory>

#include "kernels/conv/contract.hpp"
#include "kernels/matmul/trunk_step.hpp"
#include "kernels/window.hpp"

namespace thew {

struct ConvOperands {
    Tensor x, w, y, residual;  // as 2-d images; residual.rank is -1 where absent
    std::int64_t group;
    std::int64_t w_group;  // elements of w from a group to the next
};

// The order in which k walks the window: whichever finds the longest runs in x.
inline Patches patches_of(const ConvOperands& at, const Window2d& window) {
    const Tensor& x = at.x;
    const std::int64_t channels = at.w.shape[1];
    const bool dense = channels == x.shape[1] && (channels == 1 || x.stride[1] == 1) && x.stride[3] == channels;
    const bool planes = x.stride[3] == 1;
    const bool width_runs = window.dilation[1] == 1 && (dense || (planes && (channels == 1 || x.stride[1] != 1)));
    Patches patches{};
    patches.in_h = x.shape[2], patches.in_w = x.shape[3];
    patches.out_h = at.y.shape[2], patches.out_w = at.y.shape[3];
    patches.kh = window.kernel[0], patches.kw = window.kernel[1];
    patches.stride_h = window.stride[0], patches.stride_w = window.stride[1];
    patches.pad_h = window.pad[0], patches.pad_w = window.pad[1];
    patches.dilation_h = window.dilation[0], patches.dilation_w = window.dilation[1];
    patches.x_n = x.stride[0], patches.x_c = x.stride[1], patches.x_h = x.stride[2], patches.x_w = x.stride[3];
    patches.width_runs = width_runs;
    patches.columns = width_runs && (!dense || channels == 1) && patches.stride_w <= 2;
    patches.unit = dense ? channels : 1;
    patches.run = width_runs ? patches.kw * patches.unit : channels;
    return patches;
}

class ConvProduct {
public:
    // `bias_elements`: to be gathered at each run, where they do not lie side by side. A window of no taps (w's kernel
    // has an extent of 0) gives zeros, activated.
    ConvProduct(const StepDesc& desc, const ConvEntry& entry, const ConvOperands& at, const Window2d& window,
                bool w_is_constant, std::int64_t bias_elements)
        : entry_(&entry) {
        const bool pointwise = entry.algorithm == ConvAlgorithm::pointwise;
        patches_ = patches_of(at, window);
        lay_out_product(at, pointwise);
        lay_out_weights(at, pointwise);
        product_.epilogue = parse_epilogue(desc.attributes);
        const TileShape tile = tile_shape(entry.trunk);
        if (is_direct()) {
            choose_band(at, tile, desc.threads);
        } else {
            choose_blocking(product_, desc.caches, tile, desc.threads, entry.trunk.reads_in_place,
                            !pointwise && patches_.columns ? entry.trunk.column_pitch : 0);
        }
        memory_ = TrunkMemory(product_, b_, tile, desc.threads, w_is_constant, bias_elements);
    }

    const TrunkMemory& memory() const { return memory_; }
    std::size_t scratch_bytes() const {
        return memory_.scratch_bytes() + static_cast<std::size_t>(patches_.band_bytes * threads_);
    }
    void pack_constant(const void* w) { memory_.pack_constant(b_, w); }
    const void* weights_for_run(const void* w, const Workers& workers, std::byte*& scratch) const {
        return memory_.b_for_run(b_, w, workers, scratch);
    }
    const Product& product() const { return product_; }
    const Patches& patches() const { return patches_; }
    void run(const Product& product, const Workers& workers, std::byte* scratch) const {
        if (entry_->run) {
            entry_->run(product, patches_, workers, scratch);
        } else {
            entry_->trunk.run(product, workers, scratch);
        }
    }

private:
    bool is_direct() const { return entry_->algorithm == ConvAlgorithm::direct; }

    // As many rows as share their padded copy of x and leave room for others in the second level, and enough bands for
    // all workers.
    void choose_band(const ConvOperands& at, const TileShape& tile, int threads) {
        constexpr std::int64_t kBandBytes = 64 << 10;
        Patches& p = patches_;
        threads_ = threads;
        product_.blocking.in_place = true;  // nothing is packed
        p.band_width = (p.out_w - 1) * p.stride_w + (p.kw - 1) * p.dilation_w + 1;
        const std::int64_t line_bytes = at.x.shape[1] * p.band_width * tile.element_bytes;
        const std::int64_t halo = (p.kh - 1) * p.dilation_h + 1;
        const std::int64_t fit = (kBandBytes / std::max<std::int64_t>(line_bytes, 1) - halo) / p.stride_h + 1;
        const std::int64_t lines = at.y.shape[0] * p.out_h;
        const std::int64_t share = threads > 1 ? ceil_div(lines, std::int64_t{kTilesPerWorker} * threads) : lines;
        p.band_rows = std::clamp<std::int64_t>(std::min(fit, share), 1, std::max<std::int64_t>(p.out_h, 1));
        p.band_bytes = round_up(((p.band_rows - 1) * p.stride_h + halo) * line_bytes, 64);
    }

    void lay_out_product(const ConvOperands& at, bool pointwise) {
        const Tensor &x = at.x, &y = at.y, &residual = at.residual;
        const bool added = residual.rank >= 0;
        product_.n = at.w.shape[0] / at.group;
        product_.a_k = at.w.shape[1] == 1 ? 1 : x.stride[1];
        product_.c_n = product_.n == 1 ? 1 : y.stride[1];
        product_.residual_n = !added || product_.n == 1 ? 1 : residual.stride[1];
        const std::int64_t steps[3] = {1, patches_.stride_h, patches_.stride_w};
        const int axes[3] = {0, 2, 3};
        product_.row.rank = 3;
        for (int d = 0; d < 3; ++d) {
            product_.row.extent[d] = y.shape[axes[d]];
            product_.row.a[d] = x.stride[axes[d]] * steps[d];
            product_.row.c[d] = y.stride[axes[d]];
            product_.row.residual[d] = added ? residual.stride[axes[d]] : 0;
        }
        product_.m = items_of(product_.row);
        if (!is_direct()) {  // which walks images, rows and columns itself
            // Strides without a say in what may be merged: those of no residual, and of x where patches are gathered.
            join_strides(product_.row, !pointwise, !added);
            collapse(product_.row);
        }
        product_.items = at.group;
        product_.item.rank = 1;
        product_.item.extent[0] = at.group;
        product_.item.a[0] = at.w.shape[1] * x.stride[1];
        product_.item.c[0] = product_.n * y.stride[1];
        product_.item.residual[0] = added ? product_.n * residual.stride[1] : 0;
        product_.item_bias[0] = product_.n;
    }

    void lay_out_weights(const ConvOperands& at, bool pointwise) {
        const Tensor& w = at.w;
        const bool by_plane = is_direct() || (!pointwise && patches_.width_runs && patches_.unit != w.shape[1]);
        const int order[3] = {by_plane ? 1 : 2, by_plane ? 2 : 3, by_plane ? 3 : 1};
        std::int64_t k = 1;
        for (int d = 0; d < 3; ++d) {
            b_.view.extent[d] = w.shape[order[d]];
            b_.view.stride[d] = w.stride[order[d]];
            k *= w.shape[order[d]];
        }
        product_.k_real = k;
        product_.k = round_up(k, entry_->trunk.k_multiple);
        b_.view.n = product_.n;
        b_.view.n_stride = w.stride[0];
        b_.item.rank = 1;
        b_.item.extent[0] = at.group;
        b_.item_stride[0] = at.w_group;
        b_.pack = entry_->trunk.pack_b;
        b_.panel = entry_->trunk.row.nr;
        b_.item_elements = packed_b_elements(product_.k, product_.n, entry_->trunk.vector);
        product_.item_b[0] = b_.item_elements;
    }

    const ConvEntry* entry_;
    Product product_{};
    Patches patches_{};
    TrunkB b_{};
    TrunkMemory memory_;
    std::int64_t threads_ = 0;  // that take a band each
};

// A window of 1×1 without padding, over as many pixels as it is given.
inline void require_pointwise(const StepDesc& desc, const Window2d& window) {
    for (int axis = 0; axis < 2; ++axis) {
        require(window.kernel[axis] == 1 && window.pad[axis] == 0 && window.pad_end[axis] <= 0,
                where(desc) + "the window must be 1x1 without padding; use an implicit row");
    }
}

// One file each; step.cpp chooses by the op's name.
std::unique_ptr<Step> make_conv_grad_input(const StepDesc& desc, const ConvEntry& entry);
std::unique_ptr<Step> make_conv_grad_weight(const StepDesc& desc, const ConvEntry& entry);

}  // namespace thew
