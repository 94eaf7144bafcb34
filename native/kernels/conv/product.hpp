// A convolution as a product on the trunk, from views of its operands: what the steps of conv and of its gradients
// share. Plan side only.
//
// The weights need not be a tensor of (oc, c/group, kh, kw) in memory: their strides are per axis and may be negative,
// and groups lie any distance apart, so that the gradient of the input is a convolution over turned weights.
#pragma once

#include <memory>

#include "kernels/conv/layout.hpp"

namespace thew {

class ConvProduct {
public:
    // `bias_elements`: to be gathered at each run, where they do not lie side by side. A window of no taps (w's kernel
    // has an extent of 0) gives zeros, activated.
    ConvProduct(const StepDesc& desc, const ConvEntry& entry, const ConvOperands& at, const Window2d& window,
                bool w_is_constant, std::int64_t bias_elements)
        : entry_(&entry) {
        const bool pointwise = entry.algorithm == ConvAlgorithm::pointwise;
        patches_ = patches_of(at, window);
        const MatmulEntry& trunk = entry.trunk;
        patches_.columns = patches_.columns && trunk.column_pitch > 0;
        lay_out_product(product_, at, patches_, entry.algorithm);
        lay_out_weights(product_, b_, at, patches_, entry.algorithm, trunk.k_multiple);
        b_.pack = trunk.pack_b;
        b_.panel = trunk.row.nr;
        b_.item_elements = packed_b_elements(product_.k, product_.n, trunk.vector);
        product_.item_b[0] = b_.item_elements;
        product_.epilogue = parse_epilogue(desc.attributes);
        const TileShape tile = tile_shape(entry.trunk);
        if (is_direct()) {
            choose_band(at, tile, desc);
        } else {
            choose_blocking(product_, desc, tile, entry.trunk.reads_in_place,
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
    void choose_band(const ConvOperands& at, const TileShape& tile, const StepDesc& desc) {
        constexpr std::int64_t kBandBytes = 64 << 10;
        Patches& p = patches_;
        threads_ = desc.threads;
        product_.blocking.in_place = true;  // nothing is packed
        p.band_width = (p.out_w - 1) * p.stride_w + (p.kw - 1) * p.dilation_w + 1;
        const std::int64_t line_bytes = at.x.shape[1] * p.band_width * tile.element_bytes;
        const std::int64_t halo = (p.kh - 1) * p.dilation_h + 1;
        const std::int64_t fit = (kBandBytes / std::max<std::int64_t>(line_bytes, 1) - halo) / p.stride_h + 1;
        const std::int64_t lines = at.y.shape[0] * p.out_h;
        const std::int64_t share = threads_ > 1 ? ceil_div(lines, tiles_wanted(desc)) : lines;
        p.band_rows = std::clamp<std::int64_t>(std::min(fit, share), 1, std::max<std::int64_t>(p.out_h, 1));
        p.band_bytes = round_up(((p.band_rows - 1) * p.stride_h + halo) * line_bytes, 64);
    }

    const ConvEntry* entry_;
    Product product_{};
    Patches patches_{};
    TrunkB b_{};
    TrunkMemory memory_;
    std::int64_t threads_ = 0;  // that take a band each
};

// One file each; step.cpp chooses by the op's name.
std::unique_ptr<Step> make_conv_grad_input(const StepDesc& desc, const ConvEntry& entry);
std::unique_ptr<Step> make_conv_grad_weight(const StepDesc& desc, const ConvEntry& entry);

}  // namespace thew
