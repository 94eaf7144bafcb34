// Gradients of pooling, 1-d and 2-d; the window is pool's (kernels/pool/contract.hpp):
//
//   max_pool_grad(x, dy)    dx[n, c, h, w] = Σ of dy[n, c, oy, ox] over windows whose largest element is (h, w), the
//                           first of equal ones (kernel in C order; a NaN is larger than all)
//   average_pool_grad(dy)   dx[n, c, h, w] = Σ of dy[n, c, oy, ox] / (taps counted) over windows that cover (h, w)
//
// With the activation relu (max only), dx is also multiplied by x > 0: the gradient of a relu before the pool.
//
// Any strides. Vectors run across channels or images, whichever are neighbours in memory in every operand, or along
// rows of pixels that are, for windows of 2×2 two apart (not in 16 bits); else elements go one by one. dx overlaps no
// input, but may be exactly x where windows tile the image: strides as the kernel, no pads or dilations, every element
// in one. Windows are visited in order, so that sums do not depend on the threads.
#pragma once

#include "base/tensor.hpp"
#include "base/workers.hpp"
#include "kernels/table.hpp"

namespace thew {

struct PoolStrides {
    std::int64_t outer, lane, h, w;
};

struct PoolGradArgs {
    bool average, count_include_pad, relu;
    bool disjoint;              // windows share no element: dx is stored, not added to
    bool covers;                // every element is in a window: dx needs no zeros first
    bool inside;                // no window leaves the image
    std::int64_t outer, lanes;  // images and channels, whichever vectors run across being the lanes
    std::int64_t h, w, oh, ow;
    std::int64_t kh, kw, stride_h, stride_w, dilation_h, dilation_w;
    std::int64_t pad_top, pad_left, pad_bottom, pad_right;
    PoolStrides x, dy, dx;  // elements; x is unused by average
};

struct PoolGradEntry {
    Row row;
    void (*run)(const PoolGradArgs& args, const void* x, const void* dy, void* dx, const Workers& workers);
};

THEW_DECLARE_TABLES(PoolGradEntry, pool_grad_table)

}  // namespace thew
