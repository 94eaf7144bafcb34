// Normalisations (ONNX BatchNormalization in inference, InstanceNormalization, GroupNormalization,
// LayerNormalization, LRN). One axis is special, of `length` elements: the channels, or for layer normalisation the
// normalised axes seen as one. With i its index:
//
//   batch     y = (x - mean[i]) / √(variance[i] + epsilon) · scale[i] + bias[i]
//   group     the same, mean and variance taken of x over an image's channels of i's group (instance: of channel i
//   alone) layer     the same, mean and variance taken of x along i lrn       y = x / (bias + alpha / size · Σ
//   x[j]²)^beta,  j from i - (size - 1) / 2 to i + size / 2, inside the image
//
// fp16 and bf16 (scale, bias, mean and variance too) are computed in fp32 and rounded once. Any strides and alignment;
// y may be x itself (same view), and overlaps nothing else. Fast where the special axis or another one has stride 1 in
// x and y. Variances are taken in two passes, sums of at most kNormBlock terms a lane are added in fp64: |error of a
// mean| <= (kNormBlock + 8)·eps·mean|x|, and likewise for the variance.
#pragma once

#include "base/workers.hpp"
#include "kernels/axes.hpp"
#include "kernels/table.hpp"

namespace thew {

enum class NormOp : std::uint8_t { batch, group, layer, lrn };

inline constexpr std::int64_t kNormBlock = 64;

struct NormArgs {
    NormOp op;
    Axes others;                              // strides of x and y; without the special axis, and for group without n
    std::int64_t length, x_stride, y_stride;  // of the special axis
    std::int64_t n, x_n, y_n;                 // group only, else 1 image
    std::int64_t groups;
    double epsilon;
    std::int64_t size;
    double alpha, beta, bias;
};

// scale, bias, mean, variance as far as the op has them: `length` elements, or null.
struct NormParameters {
    const void* data[4];
    std::int64_t stride[4];
};

struct NormEntry {
    Row row;
    void (*run)(const NormArgs& args, const void* x, void* y, const NormParameters& parameters, const Workers& workers,
                std::byte* scratch);
    std::int64_t (*scratch_bytes)(const NormArgs& args, int threads);
};

THEW_DECLARE_TABLES(NormEntry, norm_table)

}  // namespace thew
