// The operands of convolutions of few channels as their steps see them: x, w and y, whichever of them is the result,
// and the gradient of the input as convolutions over dy (kernels/conv/reach.hpp). Plan side only.
#pragma once

#include <utility>
#include <vector>

#include "kernels/conv/reach.hpp"
#include "kernels/conv_batch/contract.hpp"
#include "kernels/strided.hpp"

namespace thew {

// The three tensors of a convolution, as 2-d images, whichever of them is the result.
struct Operands {
    Tensor x, w, y;
};

inline void require_operands(const StepDesc& desc, const Operands& at, const Row& row) {
    const Tensor &x = at.x, &w = at.w, &y = at.y;
    require((x.rank == 4) && w.rank == 4 && y.rank == 4, where(desc) + "operands must all have rank 3 or all rank 4");
    for (const Tensor* tensor : {&x, &w, &y}) require_dtype(desc, *tensor, row.a, "every operand");
    require(desc.attributes.integer("group", 1) == 1 && w.shape[1] == x.shape[1] && w.shape[0] == y.shape[1] &&
                x.shape[0] == y.shape[0],
            where(desc) +
                "there must be one group, with images (n, c, …), weights (oc, c, …) and results (n, oc, …), got " +
                shape_text(x) + ", " + shape_text(w) + " and " + shape_text(y));
}

inline Window2d conv_window(const StepDesc& desc, const Operands& at, const Tensor& w) {
    const Window2d window = window_of(desc, w.rank, std::vector<std::int64_t>(w.shape + 2, w.shape + w.rank));
    require_window(desc, window, at.x, at.y, false);
    return window;
}

// y = x·w as at.y, at.x and at.w say.
inline BatchConv conv_of(const Operands& at, const Window2d& window) {
    const Tensor &x = at.x, &w = at.w, &y = at.y;
    BatchConv conv{};
    conv.n = x.shape[0], conv.c = x.shape[1], conv.oc = y.shape[1];
    conv.in_h = x.shape[2], conv.in_w = x.shape[3], conv.out_h = y.shape[2], conv.out_w = y.shape[3];
    conv.kh = w.shape[2], conv.kw = w.shape[3];
    conv.stride_h = window.stride[0], conv.stride_w = window.stride[1];
    conv.pad_h = window.pad[0], conv.pad_w = window.pad[1];
    conv.dilation_h = window.dilation[0], conv.dilation_w = window.dilation[1];
    conv.x_n = x.stride[0], conv.y_n = y.stride[0];
    conv.x_c = x.stride[1], conv.x_h = x.stride[2], conv.x_w = x.stride[3];
    conv.y_c = y.stride[1], conv.y_h = y.stride[2], conv.y_w = y.stride[3];
    conv.w_o = w.stride[0], conv.w_c = w.stride[1], conv.w_h = w.stride[2], conv.w_w = w.stride[3];
    return conv;
}

// One pair of remainders of the gradient of the input as a convolution, and where it starts in w and dx (elements).
struct ConvPart {
    BatchConv conv;
    std::int64_t w_first, dx_first;
};

struct Reaches {
    Reach axis[2];
};

inline ConvPart part_of(const Operands& whole, const Window2d& found, const Reaches& reaches) {
    Operands at{whole.y, whole.w, whole.x};
    std::swap(at.w.shape[0], at.w.shape[1]);
    std::swap(at.w.stride[0], at.w.stride[1]);
    Window2d window = found;
    std::int64_t w_first = 0, dx_first = 0;
    for (int axis = 0; axis < 2; ++axis) {
        const Reach& reach = reaches.axis[axis];
        const int image = 2 + axis;
        w_first += reach.tap * whole.w.stride[image];
        dx_first += reach.first * whole.x.stride[image];
        at.w.shape[image] = reach.taps;
        at.w.stride[image] = -reach.step * whole.w.stride[image];
        at.y.shape[image] = reach.count;
        at.y.stride[image] = found.stride[axis] * whole.x.stride[image];
        window.stride[axis] = 1;
        window.dilation[axis] = reach.dilation;
        window.pad[axis] = reach.pad;
    }
    return {conv_of(at, window), w_first, dx_first};
}

}  // namespace thew
