// conv_grad_weight(dy, x): the product of patches, turned around, with dy; see contract.hpp. Where o is not the
// innermost axis of dw and k is cut into several blocks, the sums are taken in scratch and scattered once.
//
// Scratch: [dw as (kh, kw, c) by o, where it is][packed dy][packed patches].
#include "kernels/conv/product.hpp"
#include "kernels/strided.hpp"

namespace thew {
namespace {

struct Operands {
    Tensor dy, x, dw;
    std::int64_t group;
};

Operands operands(const StepDesc& desc, DType dtype) {
    require_counts(desc, 2, 2);
    const Tensor &dy = desc.inputs[0], &x = desc.inputs[1], &dw = desc.outputs[0];
    const std::int64_t group = require_convolution(desc, x, dw, dy);
    require_dtype(desc, dy, dtype, "dy");
    require_dtype(desc, x, dtype, "x");
    require_dtype(desc, dw, dtype, "dw");
    return {as_image(dy), as_image(x), as_image(dw), group};
}

class GradWeightStep final : public Step {
public:
    GradWeightStep(const StepDesc& desc, const ConvEntry& entry) : entry_(entry) {
        require(entry.grad_weight != nullptr, where(desc) + "the row must be an implicit one that packs columns");
        const MatmulEntry& trunk = entry.trunk;
        const Operands at = operands(desc, trunk.row.a);
        const Tensor& dw = desc.outputs[0];
        const Window2d window =
            window_of(desc, desc.inputs[0].rank, std::vector<std::int64_t>(dw.shape + 2, dw.shape + dw.rank));
        require_window(desc, window, at.x, at.dy, false);
        patches_ = patches_of({at.x, at.dw, at.dy, {}, at.group, 0}, window);
        lay_out(at);
        join_taps(at.dw.shape[1]);
        const TileShape tile = tile_shape(trunk);
        choose_blocking(product_, desc, tile, false, trunk.column_pitch);
        if (patches_.run >= 4 && product_.m > 0) cut_by_units(product_, tile, patches_.run);
        if (product_.c_n != 1 && product_.k > product_.blocking.depth && !trunk.keeps_sums) gather_sums();
        memory_ = TrunkMemory(product_, b_, tile, desc.threads, false, 0);
    }

    std::size_t scratch_bytes() const override { return sums_bytes_ + memory_.scratch_bytes(); }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        std::byte* rest = scratch + sums_bytes_;
        Product product = product_;
        product.a = inputs[1].data;
        product.c = sums_bytes_ > 0 ? static_cast<void*>(scratch) : outputs[0].data;
        product.b = memory_.b_for_run(b_, inputs[0].data, workers, rest);
        entry_.grad_weight(product, patches_, workers, rest);
        if (sums_bytes_ == 0) return;
        UnpackedB to = scatter_to_;
        to.data = outputs[0].data;
        entry_.scatter(scratch, to, product_.items, scatter_item_, workers);
    }

private:
    // Rows are runs of channels; where the taps of a window's row lie one behind another and never leave the image,
    // they are one run as well: few channels then fill a vector.
    void join_taps(std::int64_t channels) {
        const bool dense = patches_.width_runs && patches_.x_w == channels && (channels == 1 || patches_.x_c == 1);
        const std::int64_t last = (patches_.out_w - 1) * patches_.stride_w + patches_.kw;
        const bool joined = dense && product_.items == 1 && patches_.pad_w == 0 && last <= patches_.in_w;
        patches_.run = joined ? channels * patches_.kw : channels;
        if (joined) patches_.kw = patches_.x_c = 1;
        patches_.width_runs = patches_.columns = false;
    }

    void lay_out(const Operands& at) {
        const Tensor &dy = at.dy, &dw = at.dw;
        product_.n = dw.shape[0] / at.group;
        product_.c_n = product_.n == 1 ? 1 : dw.stride[0];
        product_.a_k = product_.residual_n = 1;
        const int axes[3] = {2, 3, 1}, pixels[3] = {0, 2, 3};
        product_.row.rank = 3;
        product_.k_real = 1;
        for (int d = 0; d < 3; ++d) {
            product_.row.extent[d] = dw.shape[axes[d]];
            product_.row.c[d] = dw.stride[axes[d]];
            b_.view.extent[d] = dy.shape[pixels[d]];
            b_.view.stride[d] = dy.stride[pixels[d]];
            product_.k_real *= dy.shape[pixels[d]];
        }
        product_.m = items_of(product_.row);
        product_.k = round_up(product_.k_real, entry_.trunk.k_multiple);
        product_.items = at.group;
        product_.item.rank = 1;
        product_.item.extent[0] = at.group;
        product_.item.a[0] = dw.shape[1] * at.x.stride[1];
        product_.item.c[0] = product_.n * dw.stride[0];
        b_.view.n = product_.n;
        b_.view.n_stride = dy.stride[1];
        b_.item.rank = 1;
        b_.item.extent[0] = at.group;
        b_.item_stride[0] = product_.n * dy.stride[1];
        b_.pack = entry_.trunk.pack_b;
        b_.panel = entry_.trunk.row.nr;
        b_.item_elements = packed_b_elements(product_.k, product_.n, entry_.trunk.vector);
        product_.item_b[0] = b_.item_elements;
    }

    // c becomes dense scratch, o innermost; where it goes afterwards is kept.
    void gather_sums() {
        scatter_to_.n = product_.n;
        scatter_to_.n_stride = product_.c_n;
        scatter_item_ = product_.item.c[0];
        for (int d = 0; d < 3; ++d) {
            scatter_to_.extent[d] = product_.row.extent[d];
            scatter_to_.stride[d] = product_.row.c[d];
        }
        product_.c_n = 1;
        product_.item.c[0] = product_.m * product_.n;
        std::int64_t inner = product_.n;
        for (int d = 2; d >= 0; --d) {
            product_.row.c[d] = inner;
            inner *= product_.row.extent[d];
        }
        sums_bytes_ = checked_bytes(static_cast<std::size_t>(product_.items * product_.m * product_.n),
                                    dtype_bytes(entry_.trunk.row.a));
    }

    const ConvEntry& entry_;
    Product product_{};
    Patches patches_{};
    TrunkB b_{};
    TrunkMemory memory_;
    UnpackedB scatter_to_{};
    std::int64_t scatter_item_ = 0;
    std::size_t sums_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Step> make_conv_grad_weight(const StepDesc& desc, const ConvEntry& entry) {
    return std::make_unique<GradWeightStep>(desc, entry);
}

}  // namespace thew
