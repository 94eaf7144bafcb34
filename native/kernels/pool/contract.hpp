// Pooling (ONNX MaxPool, AveragePool, GlobalMaxPool, GlobalAveragePool), 1-d and 2-d:
//
//   y[n, c, oy, ox] = reduce over (ky, kx) of x[n, c, oy·sh - top + ky·dh, ox·sw - left + kx·dw]
//
// over the taps inside the image. max: the largest, NaN if any is NaN, the type's lowest value where there is none.
// average: their sum over their number, or with count_include_pad over the number of taps inside the padded image.
//
// Any strides of x and y. Channel stride 1 in both, or image stride 1: vectors across channels or images; otherwise
// rows of w, fastest where w's stride is 1 in x. No alignment is asked for; y overlaps no input; memory outside the
// views is not touched. fp16 and bf16 are computed in fp32 and rounded once. Sums run along window rows, then over
// them: |error| <= (kh + kw + 1)·eps·Σ|terms| / count.
#pragma once

#include "base/tensor.hpp"
#include "base/workers.hpp"
#include "kernels/table.hpp"

namespace thew {

enum class PoolOp : std::uint8_t { max, average };

struct PoolArgs {
    PoolOp op;
    bool count_include_pad;
    std::int64_t n, c, h, w, oh, ow;
    std::int64_t kh, kw, stride_h, stride_w, dilation_h, dilation_w;
    std::int64_t pad_top, pad_left, pad_bottom, pad_right;
    std::int64_t x_n, x_c, x_h, x_w, y_n, y_c, y_h, y_w;  // strides in elements
    std::int64_t first_row = 0;                           // rows [first_row, oh) of y are computed; channels-last only
};

struct PoolEntry {
    Row row;
    // `scratch` has scratch_bytes() for each worker.
    void (*run)(const PoolArgs& args, const void* x, void* y, const Workers& workers, std::byte* scratch);
    std::int64_t (*scratch_bytes)(const PoolArgs& args);
    bool averages;  // integers have max only
};

THEW_DECLARE_TABLES(PoolEntry, pool_table)

}  // namespace thew
