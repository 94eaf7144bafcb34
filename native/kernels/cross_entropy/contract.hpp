// softmax_cross_entropy(logits, labels, weights?) -> loss, dlogits, along axis 1. With p the softmax of a sample's
// logits x, m their largest, and t the smoothed target, t_j = (1 - s)·(j is the label) + s / classes:
//
//   loss = Σ over samples of -Σ_j w_j t_j log p_j / divisor,   dlogits_j = ((Σ_i w_i t_i)·p_j - w_j t_j) / divisor
//
// divisor: Σ of the labels' weights where the reduction is "mean", else 1. Samples whose label is `ignore_index` take
// no part: their gradient is 0. A sample's sums are of the logits' type in a fixed order, those over samples fp64 in
// order, so nothing depends on the number of threads; log p = x - m - log Σ exp(x - m).
//
// Any strides; dlogits may be exactly logits. Weights are one vector of the logits' type.
#pragma once

#include "base/workers.hpp"
#include "kernels/axes.hpp"
#include "kernels/table.hpp"

namespace thew {

struct CrossEntropyArgs {
    Axes samples;                                          // strides of logits and dlogits
    std::int64_t classes, logits_stride, gradient_stride;  // along axis 1
    std::int64_t weights_stride;
    double smoothing, weights_sum;  // weights_sum: Σ w, classes where there are none
    double factor;                  // 1 / divisor
};

struct CrossEntropyEntry {
    Row row;
    // `labels`: one a sample, a class or -1 for none. `losses`: one a sample, written. `lines`: line_bytes() a worker.
    void (*run)(const CrossEntropyArgs& args, const void* logits, const std::int64_t* labels, const void* weights,
                void* gradient, double* losses, std::byte* lines, const Workers& workers);
    std::int64_t (*line_bytes)(std::int64_t classes);
};

THEW_DECLARE_TABLES(CrossEntropyEntry, cross_entropy_table)

}  // namespace thew
