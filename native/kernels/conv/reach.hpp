// Which taps of a convolution's window reach an input: the geometry of the gradient of the input. Inputs h = r (mod
// stride) are reached by every t-th tap only, t = stride / gcd(stride, dilation), and as h steps on by a stride,
// outputs step on by one: along those inputs the gradient is a convolution of stride 1. Plan side only.
#pragma once

#include <numeric>

#include "kernels/window.hpp"

namespace thew {

// The taps of one axis that reach inputs `first`, `first + stride`, …: taps `tap`, `tap - step`, … (`taps` of them)
// read dy from `-pad` on, `dilation` apart.
struct Reach {
    std::int64_t first, count;  // inputs
    std::int64_t tap, step, taps;
    std::int64_t pad, dilation;
};

inline Reach reach_of(const Window2d& window, int axis, std::int64_t remainder, std::int64_t extent) {
    const std::int64_t stride = window.stride[axis], dilation = window.dilation[axis];
    const std::int64_t shared = std::gcd(stride, dilation);
    Reach reach{remainder, (extent - remainder + stride - 1) / stride, 0, stride / shared, 0, 0, dilation / shared};
    for (std::int64_t tap = 0; tap < window.kernel[axis] && tap < reach.step; ++tap) {
        if ((remainder + window.pad[axis] - tap * dilation) % stride != 0) continue;
        reach.taps = (window.kernel[axis] - tap + reach.step - 1) / reach.step;
        reach.tap = tap + (reach.taps - 1) * reach.step;
        reach.pad = -(remainder + window.pad[axis] - reach.tap * dilation) / stride;
        break;
    }
    return reach;
}

}  // namespace thew
