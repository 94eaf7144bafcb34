// The sliding window of convolutions and pools as a step describes it, checked against the shapes; 1-d images are seen
// as 2-d ones of height 1. Compiled once per family (step.cpp), never in kernel units.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/dispatch.hpp"
#include "kernels/strided.hpp"

namespace thew {

struct Window2d {  // [0] along h, [1] along w
    std::int64_t kernel[2], stride[2], dilation[2], pad[2], pad_end[2];

    std::int64_t extent(int axis) const { return (kernel[axis] - 1) * dilation[axis] + 1; }
};

// (n, c, w) becomes (n, c, 1, w); rank 4 stays.
inline Tensor as_image(Tensor tensor) {
    if (tensor.rank != 3) return tensor;
    tensor.rank = 4;
    tensor.shape[3] = tensor.shape[2];
    tensor.stride[3] = tensor.stride[2];
    tensor.shape[2] = 1;
    tensor.stride[2] = 0;
    return tensor;
}

// What a convolution asks of its images x (n, c, …) and y (n, oc, …) and its weights w (oc, c/group, …), whichever of
// them a step computes. Returns the number of groups.
inline std::int64_t require_convolution(const StepDesc& desc, const Tensor& x, const Tensor& w, const Tensor& y) {
    const std::string got = ", got " + shape_text(x) + ", " + shape_text(w) + " and " + shape_text(y);
    require((x.rank == 3 || x.rank == 4) && w.rank == x.rank && y.rank == x.rank,
            where(desc) + "x, w and y must all have rank 3 or all rank 4" + got);
    const std::int64_t group = desc.attributes.integer("group", 1), oc = w.shape[0];
    require(group >= 1 && oc % group == 0 && x.shape[1] % group == 0 && w.shape[1] == x.shape[1] / group &&
                y.shape[0] == x.shape[0] && y.shape[1] == oc,
            where(desc) +
                "x (n, c, …), w (oc, c/group, …) and y (n, oc, …) must fit, group = " + std::to_string(group) + got);
    return group;
}

// Input 2, where there is one: a number a channel.
inline void require_bias(const StepDesc& desc, std::int64_t channels) {
    require(!present(desc, 2) || (desc.inputs[2].rank == 1 && desc.inputs[2].shape[0] == channels),
            where(desc) + "bias must be (" + std::to_string(channels) + ",)" +
                (present(desc, 2) ? ", got " + shape_text(desc.inputs[2]) : ""));
}

// `rank` is x's; `kernel` its spatial extents, rank - 2 of them.
inline Window2d window_of(const StepDesc& desc, int rank, const std::vector<std::int64_t>& kernel) {
    const std::size_t axes = static_cast<std::size_t>(rank) - 2;
    constexpr std::int64_t most = std::int64_t{1} << 31;  // keeps every product of two within 63 bits
    auto read = [&](const char* name, std::int64_t fallback, std::size_t count, std::int64_t least) {
        std::vector<std::int64_t> values = desc.attributes.ints(name);
        if (values.empty()) values.assign(count, fallback);
        bool fits = values.size() == count;
        for (std::int64_t value : values) fits = fits && value >= least && value < most;
        require(fits, where(desc) + name + " must be " + std::to_string(count) + " integers of at least " +
                          std::to_string(least) + " and below 2^31");
        return values;
    };
    std::vector<std::int64_t> strides = read("strides", 1, axes, 1), dilations = read("dilations", 1, axes, 1);
    std::vector<std::int64_t> pads = read("pads", 0, 2 * axes, -most + 1);
    require(
        kernel.size() == axes && std::all_of(kernel.begin(), kernel.end(), [](auto k) { return k >= 1 && k < most; }),
        where(desc) + "kernel_shape must be " + std::to_string(axes) + " integers of at least 1 and below 2^31");
    Window2d window{{1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}};
    for (std::size_t i = 0; i < axes; ++i) {
        const std::size_t axis = i + 2 - axes;
        window.kernel[axis] = kernel[i];
        window.stride[axis] = strides[i];
        window.dilation[axis] = dilations[i];
        window.pad[axis] = pads[i];
        window.pad_end[axis] = pads[i + axes];
    }
    return window;
}

// Output extents follow from the window: ONNX's floor rule, or with `ceil_mode` its ceiling rule, under which a last
// window that would start beyond the image and its left padding is dropped.
inline void require_window(const StepDesc& desc, const Window2d& window, const Tensor& x, const Tensor& y,
                           bool ceil_mode) {
    for (int axis = 0; axis < 2; ++axis) {
        const std::int64_t in = x.shape[axis + 2], stride = window.stride[axis];
        const std::int64_t room = in + window.pad[axis] + window.pad_end[axis] - window.extent(axis);
        std::int64_t out = room < 0 ? 0 : (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
        if (ceil_mode && out > 0 && (out - 1) * stride >= in + window.pad[axis]) --out;
        require(y.shape[axis + 2] == out, where(desc) + "output extent along " + (axis == 0 ? "h" : "w") + " must be " +
                                              std::to_string(out) + ", got " + std::to_string(y.shape[axis + 2]));
    }
}

}  // namespace thew
