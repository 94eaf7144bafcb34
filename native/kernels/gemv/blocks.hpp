// Weights with whole blocks of zeros: what is kept of a panel is a dense matrix of some rows of b, and a is read at
// their k.
#pragma once

#include "kernels/gemv/panels.hpp"

namespace thew {
namespace {

struct Blocks {
    static constexpr std::int64_t kPanel = 16;  // columns, on every ISA: what pruning takes out
    static constexpr int kVectors = static_cast<int>(kPanel / kLanes<float>);
    static constexpr int kRows = kVectorRegisters < 32 ? 8 / kVectors : kVectors > 1 ? 4 : 8;
    static constexpr int kTogether = 1;

    template <int M, int G>
    static void add(const PackedGemv& gemv, const float* a, std::int64_t panel, float* y, std::int64_t columns) {
        std::int64_t at = gemv.first[panel];
        const std::int64_t end = gemv.first[panel + 1];
        const float* b = static_cast<const float*>(gemv.weights) + at * kPanel;
        Vec<float> acc[M][kVectors];
        clear<M, kVectors>(acc);
        for (; at < end; ++at, b += kPanel) {
            const float* from = a + gemv.places[at];
            Vec<float> row[kVectors];
            unroll<kVectors>([&](auto v) THEW_FLAT { row[v] = load(b + v * kLanes<float>); });
            unroll<M>([&](auto m) THEW_FLAT {
                const Vec<float> factor = splat(from[m * gemv.a_m]);
                unroll<kVectors>([&](auto v) THEW_FLAT { acc[m][v] = row[v] * factor + acc[m][v]; });
            });
        }
        store_sums<M, kVectors>(gemv, acc, y, columns);
    }
};

}  // namespace
}  // namespace thew
