// Reductions over any set of axes (ONNX ReduceSum, ReduceMean, …, ArgMax, ArgMin):
//
//   y[kept] = finish(join over reduced of take(x[kept, reduced]))
//
// Any strides of x and y, any alignment; y overlaps no input. Fast where a kept or a reduced axis of x has stride 1.
// Nothing to reduce gives the start value (0, 1, ∓infinity), NaN for a mean. A NaN gives NaN; arg_max and arg_min
// give the place of the first (select_last: last) NaN, as NumPy does.
//
// fp16 and bf16 are computed in fp32 and rounded once. Sums are kept in several accumulators that are emptied into
// totals every kReduceBlock terms of a lane: |error| <= (kReduceBlock + n / kReduceBlock + 12)·eps·Σ|terms|, plus the
// function's own for logarithms and roots.
#pragma once

#include "base/workers.hpp"
#include "kernels/axes.hpp"
#include "kernels/table.hpp"

namespace thew {

enum class ReduceOp : std::uint8_t {
    sum,
    mean,
    max,
    min,
    prod,
    l1,
    l2,
    sum_square,
    log_sum,
    log_sum_exp,
    arg_max,
    arg_min,
};

inline constexpr std::int64_t kReduceBlock = 256;

struct ReduceArgs {
    ReduceOp op;
    bool select_last;
    Axes kept;     // strides of x and y
    Axes reduced;  // strides of x; for arg_max and arg_min one axis, in order
};

struct ReduceEntry {
    Row row;
    void (*run)(const ReduceArgs& args, const void* x, void* y, const Workers& workers);
    bool (*computes)(ReduceOp op);
};

THEW_DECLARE_TABLES(ReduceEntry, reduce_table)

}  // namespace thew
