// Batch normalisation in training (Ioffe and Szegedy 2015), and its gradient. Over the N elements of a channel:
//
//   batch_norm_training(x, scale, bias, running mean, running variance) -> y, next means, next variances, mean, inverse
//       y = (x - mean) · inverse · scale + bias,  inverse = 1 / √(variance + epsilon); the running statistics move by
//       `momentum` towards mean and variance · N / (N - 1)
//   batch_norm_grad(dy, x, scale, mean, inverse) -> dx, dscale, dbias
//       x̂ = (x - mean) · inverse;  dscale = Σ dy·x̂;  dbias = Σ dy
//       dx = scale · inverse · (dy - Σ dy / N - x̂ · Σ dy·x̂ / N)
//   batch_norm_moments(x) -> (mean, variance + mean²) / ranks;  batch_norm_sums(dy, x, mean, inverse) -> (Σ dy, Σ dy·x̂)
//       fp64, (2, channels); summed over the processes that normalise together, they come in as a sixth input of the
//       first two: statistics and sums are then those of ranks · N elements, and dscale, dbias a share of 1 / ranks
//
// Images may have any strides; fast where channels are neighbours in all of them. y may be exactly x, dx exactly dy or
// x; next statistics exactly the running ones. Per-channel operands are of the images' type, any stride.
//
// Sums run over blocks of kStatisticsRows positions in that type and over blocks in fp64, means and squared deviations
// of blocks being joined as in Chan, Golub and LeVeque (1983), so that memory is read once; the parts that workers take
// are cut by the shape alone, so that nothing depends on their number.
#pragma once

#include "base/tensor.hpp"
#include "base/workers.hpp"
#include "kernels/table.hpp"

namespace thew {

inline constexpr std::int64_t kStatisticsRows = 64;
inline constexpr std::int64_t kStatisticsParts = 32;  // at most

// All axes but the channels', as up to three images walk them.
struct Positions {
    int rank;
    std::int64_t count;
    std::int64_t extent[kMaxRank], stride[3][kMaxRank];
};

struct BatchNormArgs {
    Positions positions;             // training: x, y; gradient: dy, x, dx
    std::int64_t channels, step[3];  // from a channel to the next
    double epsilon;
};

struct BatchNormEntry {
    Row row;
    // Mean and mean squared deviation of each channel. `parts`: 2·channels doubles for each of statistics_parts().
    void (*statistics)(const BatchNormArgs& args, const void* x, double* mean, double* variance, double* parts,
                       const Workers& workers);
    // y from vectors scale, bias, mean, inverse of the images' type, one after the other.
    void (*normalise)(const BatchNormArgs& args, const void* x, void* y, const void* vectors, const Workers& workers);
    // Σ dy and Σ dy·x̂ of each channel; vectors mean and inverse.
    void (*sums)(const BatchNormArgs& args, const void* dy, const void* x, const void* vectors, double* of_dy,
                 double* of_product, double* parts, const Workers& workers);
    // dx = factor · (dy - shift - (x - mean) · slope); those vectors in that order, mean third.
    void (*gradient)(const BatchNormArgs& args, const void* dy, const void* x, void* dx, const void* vectors,
                     const Workers& workers);
};

THEW_DECLARE_TABLES(BatchNormEntry, batch_norm_table)

}  // namespace thew
