// What the steps of winograd ask of their tensors. Compiled once, never in kernel units.
#pragma once

#include "kernels/dispatch.hpp"
#include "kernels/strided.hpp"
#include "kernels/window.hpp"
#include "kernels/winograd/contract.hpp"

namespace thew {

inline std::int64_t points_of(const WinogradEntry& entry) {
    return std::int64_t{entry.m + entry.r - 1} * (entry.m + entry.r - 1);
}

// Elements in whole cache lines, an odd number of them: neighbours then do not crowd into few sets.
inline std::int64_t odd_lines(std::int64_t elements, std::int64_t element_bytes) {
    const std::int64_t line = 64 / element_bytes;
    return (ceil_div(elements, line) | 1) * line;
}

inline void require_images(const StepDesc& desc, std::initializer_list<const Tensor*> tensors, const Row& row) {
    for (const Tensor* tensor : tensors) {
        require(tensor->rank == 4, where(desc) + "images and weights must have rank 4, got " + shape_text(*tensor) +
                                       "; use an implicit row");
        require_dtype(desc, *tensor, row.a, "images and weights");
    }
}

inline void require_channels_last(const StepDesc& desc, const Tensor& image) {
    require(image.shape[1] == 1 || image.stride[1] == 1,
            where(desc) + "images must be channels-last (channel stride 1); use an implicit row");
}

// The window of a convolution of x by w to y, whichever of them the step computes.
inline Window2d window_of_tiles(const StepDesc& desc, const Tensor& x, const Tensor& w, const Tensor& y,
                                const WinogradEntry& entry) {
    require_convolution(desc, x, w, y);
    const Window2d window = window_of(desc, 4, {w.shape[2], w.shape[3]});
    require_window(desc, window, x, y, false);
    for (int axis = 0; axis < 2; ++axis) {
        require(window.kernel[axis] == entry.r && window.stride[axis] == 1 && window.dilation[axis] == 1,
                where(desc) + "the window must be " + std::to_string(entry.r) + "x" + std::to_string(entry.r) +
                    " with strides and dilations of 1; use an implicit row");
    }
    return window;
}

std::unique_ptr<Step> make_winograd_grad_weight(const StepDesc& desc, const WinogradEntry& entry);

}  // namespace thew
