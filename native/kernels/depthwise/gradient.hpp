// The gradient of a depthwise convolution's weights, m = 1:
//
//   dw[c, 0, ky, kx] = Σ_n,oy,ox dy[n, c, oy, ox] · x[n, c, oy·sh - top + ky·dh, ox·sw - left + kx·dw]
//
// Layout: x and dy channels-last (channel stride 1), other strides free; dw any strides. Sums run over images and rows
// in order, whatever the number of workers, in fp32 for 16 bits: |error| <= (n·oh·ow + 2)·eps·Σ|terms|. Memory outside
// the views is not read.
#pragma once

#include "base/tensor.hpp"
#include "base/workers.hpp"
#include "kernels/table.hpp"

namespace thew {

struct DepthwiseGradArgs {
    std::int64_t n, c, h, w, oh, ow;
    std::int64_t kh, kw, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    std::int64_t padded_c;                         // of the sums
    std::int64_t x_n, x_h, x_w, dy_n, dy_h, dy_w;  // strides in elements
    std::int64_t dw_c, dw_h, dw_w;
};

struct DepthwiseGradEntry {
    Row row;
    // `sums`: [kh·kw][padded_c] of row.acc.
    void (*run)(const DepthwiseGradArgs& args, const void* dy, const void* x, void* dw, const Workers& workers,
                std::byte* sums);
};

THEW_DECLARE_TABLES(DepthwiseGradEntry, depthwise_grad)

}  // namespace thew
