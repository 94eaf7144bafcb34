// What a training step decides from all gradients together. Numbers are fp64.
//
//   unscale_check(scale, limit, g0, g1, …) -> factor, squares    squares[i] = Σ (g_i / scale)²; factor = min(1, limit /
//                     (‖g‖ + 1e-6)) / scale with ‖g‖² = Σ squares, or 0 where ‖g‖ is not finite. An element beyond
//                     ±most counts as infinite.
//   update_loss_scale(state, factor, hyper) -> next state        state: scale, clean steps, skipped steps; hyper:
//   growth,
//                     backoff, interval, least, most
//   count_update(step, factor?) -> step + 1, or step where the factor is 0
//
// Gradients are fp64, fp32, fp16 or bf16, dense in any order of axes. Sums run over pieces of kSquaresPiece elements,
// fp64 within and over them in a fixed order, whatever the number of threads. Outputs may lie exactly on what they
// update.
#pragma once

#include "base/workers.hpp"
#include "kernels/table.hpp"

namespace thew {

inline constexpr std::int64_t kSquaresPiece = 1 << 14;

struct ScalingEntry {
    Row row;
    // Σ (g / scale)² over `count` elements, infinite where a square exceeds `bound`.
    double (*squares)(const void* gradient, DType dtype, std::int64_t count, double scale, double bound);
};

THEW_DECLARE_TABLES(ScalingEntry, scaling_table)

}  // namespace thew
