// softmax and log_softmax along one axis (ONNX Softmax, LogSoftmax, opset 13):
//
//   y = exp(x - m) / Σ exp(x - m),  or  x - m - log(Σ exp(x - m)),  m = max x along the axis
//
// fp16 and bf16 are computed in fp32 and rounded once. Any strides of x and y, any alignment; y may be x itself (same
// view), and overlaps nothing else. Fast where the axis, or another axis, has stride 1 in both. A NaN or +infinity, or
// nothing but -infinity, makes its whole line NaN.
//
// The sum has 4 vectors of accumulators (one along other axes), so for a line of n elements
// |error| <= (n / lanes + max|x - m| + 16)·eps relative to y (softmax), or to |x - m| + log n (log_softmax).
#pragma once

#include "base/workers.hpp"
#include "kernels/axes.hpp"
#include "kernels/table.hpp"

namespace thew {

struct SoftmaxArgs {
    bool logarithm;
    Axes others;                              // strides of x and y
    std::int64_t length, x_stride, y_stride;  // of the axis
};

struct SoftmaxEntry {
    Row row;
    // `scratch` has scratch_bytes() for each worker.
    void (*run)(const SoftmaxArgs& args, const void* x, void* y, const Workers& workers, std::byte* scratch);
    std::int64_t (*scratch_bytes)(const SoftmaxArgs& args);
};

THEW_DECLARE_TABLES(SoftmaxEntry, softmax_table)

}  // namespace thew
