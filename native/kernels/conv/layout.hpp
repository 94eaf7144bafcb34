// From a convolution's tensors to the trunk's walks. Plan side only: included by step.cpp files.
#pragma once

#include "kernels/conv/contract.hpp"
#include "kernels/matmul/trunk_step.hpp"
#include "kernels/strided.hpp"
#include "kernels/window.hpp"

namespace thew {

struct ConvOperands {
    Tensor x, w, y, residual;  // as 2-d images; residual.rank is -1 where absent
    std::int64_t group;
    std::int64_t w_group;  // elements of w from a group to the next
};

inline ConvOperands conv_operands(const StepDesc& desc, DType dtype) {
    require_counts(desc, 2, 4);
    const Tensor &x = desc.inputs[0], &w = desc.inputs[1], &y = desc.outputs[0];
    const std::int64_t group = require_convolution(desc, x, w, y);
    for (std::size_t i = 0; i < desc.inputs.size(); ++i) {
        if (present(desc, i) && i != 2) require_dtype(desc, desc.inputs[i], dtype, "every input");
    }
    if (present(desc, 2)) require_bias_dtype(desc, desc.inputs[2], dtype);
    require_dtype(desc, y, dtype, "y");
    ConvOperands at{as_image(x), as_image(w), as_image(y), {}, group, 0};
    at.residual.rank = -1;
    if (present(desc, 3)) at.residual = as_image(broadcast_view(desc.inputs[3], y, where(desc)));
    at.w_group = w.shape[0] / group * at.w.stride[0];
    require_bias(desc, w.shape[0]);
    return at;
}

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

inline void require_pointwise(const StepDesc& desc, const Window2d& window) {
    for (int axis = 0; axis < 2; ++axis) {
        require(window.kernel[axis] == 1 && window.pad[axis] == 0 && window.pad_end[axis] <= 0,
                where(desc) + "the window must be 1x1 without padding; use an implicit row");
    }
}

// Rows, items and their strides; k is the weights' part.
inline void lay_out_product(Product& product, const ConvOperands& at, const Patches& patches, ConvAlgorithm algorithm) {
    const Tensor &x = at.x, &y = at.y, &residual = at.residual;
    const bool added = residual.rank >= 0;
    product.n = at.w.shape[0] / at.group;
    product.a_k = at.w.shape[1] == 1 ? 1 : x.stride[1];
    product.c_n = product.n == 1 ? 1 : y.stride[1];
    product.residual_n = !added || product.n == 1 ? 1 : residual.stride[1];
    const std::int64_t steps[3] = {1, patches.stride_h, patches.stride_w};
    const int axes[3] = {0, 2, 3};
    product.row.rank = 3;
    for (int d = 0; d < 3; ++d) {
        product.row.extent[d] = y.shape[axes[d]];
        product.row.a[d] = x.stride[axes[d]] * steps[d];
        product.row.c[d] = y.stride[axes[d]];
        product.row.residual[d] = added ? residual.stride[axes[d]] : 0;
    }
    product.m = items_of(product.row);
    if (algorithm != ConvAlgorithm::direct) {  // which walks images, rows and columns itself
        // Strides without a say in what may be merged: those of no residual, and of x where patches are gathered.
        join_strides(product.row, algorithm == ConvAlgorithm::implicit, !added);
        collapse(product.row);
    }
    product.items = at.group;
    product.item.rank = 1;
    product.item.extent[0] = at.group;
    product.item.a[0] = at.w.shape[1] * x.stride[1];
    product.item.c[0] = product.n * y.stride[1];
    product.item.residual[0] = added ? product.n * residual.stride[1] : 0;
    product.item_bias[0] = product.n;
}

// k in the order in which patches are gathered, and b so; how b is packed is the caller's part.
inline void lay_out_weights(Product& product, TrunkB& b, const ConvOperands& at, const Patches& patches,
                            ConvAlgorithm algorithm, std::int64_t k_multiple) {
    const Tensor& w = at.w;
    const bool gathers_planes = patches.width_runs && patches.unit != w.shape[1];
    const bool by_plane =
        algorithm == ConvAlgorithm::direct || (algorithm == ConvAlgorithm::implicit && gathers_planes);
    const int order[3] = {by_plane ? 1 : 2, by_plane ? 2 : 3, by_plane ? 3 : 1};
    std::int64_t k = 1;
    for (int d = 0; d < 3; ++d) {
        b.view.extent[d] = w.shape[order[d]];
        b.view.stride[d] = w.stride[order[d]];
        k *= w.shape[order[d]];
    }
    product.k_real = k;
    product.k = round_up(k, k_multiple);
    b.view.n = product.n;
    b.view.n_stride = w.stride[0];
    b.item.rank = 1;
    b.item.extent[0] = at.group;
    b.item_stride[0] = at.w_group;
}

}  // namespace thew
