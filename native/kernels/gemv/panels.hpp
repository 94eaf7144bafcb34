// What the algorithms with packed weights share: the walk over rows and panels, the end of a sum. An algorithm adds up
// M rows by G panels in registers; it says how many rows it takes at most, how many panels of a single row, and how
// wide a panel is.
#pragma once

#include "kernels/gemv/contract.hpp"
#include "simd/activation.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

template <int M, int V>
THEW_INLINE void clear(Vec<float> (&acc)[M][V]) {
    unroll<M * V>([&](auto i) THEW_FLAT { acc[i / V][i % V] = Vec<float>{}; });
}

// The first `columns` of V vectors, of M rows.
template <int M, int V>
THEW_INLINE void store_sums(const PackedGemv& gemv, const Vec<float> (&acc)[M][V], float* y, std::int64_t columns) {
    constexpr int lanes = kLanes<float>;
    unroll<M>([&](auto m) THEW_FLAT {
        unroll<V>([&](auto v) THEW_FLAT {
            const std::int64_t left = columns - v * lanes;
            float* to = y + m * gemv.y_m + v * lanes;
            if (left >= lanes) {
                store(to, acc[m][v]);
            } else if (left > 0) {
                store_partial(to, acc[m][v], static_cast<int>(left));
            }
        });
    });
}

// Sums of rows [0, rows) and columns [first, last), which are still near, to what they end as.
inline void finish_sums(const PackedGemv& gemv, const float* residual, float* y, std::int64_t rows, std::int64_t first,
                        std::int64_t last) {
    const auto p0 = static_cast<float>(gemv.epilogue.p0), p1 = static_cast<float>(gemv.epilogue.p1);
    constexpr std::int64_t lanes = kLanes<float>;
    for (std::int64_t m = 0; m < rows; ++m) {
        for (std::int64_t n = first; n < last; n += lanes) {
            float* at = y + m * gemv.y_m + n;
            const int some = static_cast<int>(last - n < lanes ? last - n : lanes);
            Vec<float> value = load_partial(at, some);
            if (gemv.scale) value = value * load_partial(gemv.scale + n, some);
            if (gemv.bias) value = value + load_partial(gemv.bias + n, some);
            if (residual) value = value + load_partial(residual + m * gemv.residual_m + n, some);
            store_partial(at, activate<float>(gemv.epilogue.activation, value, p0, p1), some);
        }
    }
}

// Rows [0, rows) of the panels [first, last): as many rows at once as there are, by powers of two.
template <class Algorithm>
void add_panels(const PackedGemv& gemv, const float* a, float* y, std::int64_t rows, std::int64_t first,
                std::int64_t last) {
    constexpr int kTogether = Algorithm::kTogether;
    for (std::int64_t panel = first; panel < last;) {
        const bool together = rows == 1 && last - panel >= kTogether;
        const std::int64_t n = panel * Algorithm::kPanel, columns = gemv.n - n;
        float* to = y + n;
        if (together) Algorithm::template add<1, kTogether>(gemv, a, panel, to, columns);
        for (std::int64_t m = together ? 1 : 0; m < rows;) {
            const auto some = [&](auto count) THEW_FLAT {
                constexpr int kCount = count;
                if constexpr (kCount <= Algorithm::kRows) {
                    for (; rows - m >= kCount; m += kCount) {
                        Algorithm::template add<kCount, 1>(gemv, a + m * gemv.a_m, panel, to + m * gemv.y_m, columns);
                    }
                }
            };
            some(Constant<8>{}), some(Constant<4>{}), some(Constant<2>{}), some(Constant<1>{});
        }
        panel += together ? kTogether : 1;
    }
}

// A task is some panels of some rows.
template <class Algorithm>
void run_panels(const PackedGemv& gemv, const float* a, const float* residual, float* y, const Workers& workers) {
    constexpr std::int64_t kPanels = Algorithm::kTogether, kRows = 64;
    const std::int64_t panels = (gemv.n + Algorithm::kPanel - 1) / Algorithm::kPanel;
    const std::int64_t groups = (panels + kPanels - 1) / kPanels, blocks = (gemv.m + kRows - 1) / kRows;
    auto body = [&](std::int64_t task, int) {
        const std::int64_t m = task / groups * kRows, rows = gemv.m - m < kRows ? gemv.m - m : kRows;
        const std::int64_t first = task % groups * kPanels, last = first + kPanels < panels ? first + kPanels : panels;
        float* to = y + m * gemv.y_m;
        add_panels<Algorithm>(gemv, a + m * gemv.a_m, to, rows, first, last);
        if (!gemv.scale && !gemv.bias && !residual && gemv.epilogue.activation == Activation::none) return;
        const std::int64_t end = last * Algorithm::kPanel < gemv.n ? last * Algorithm::kPanel : gemv.n;
        finish_sums(gemv, residual ? residual + m * gemv.residual_m : nullptr, to, rows, first * Algorithm::kPanel,
                    end);
    };
    parallel_for(workers, groups * blocks, body);
}

template <class Algorithm>
constexpr PackedGemvEntry packed_entry(const char* name, DType weights) {
    constexpr int kRows = Algorithm::kRows, kPanel = static_cast<int>(Algorithm::kPanel);
    return {{"gemv", name, DType::fp32, weights, DType::fp32, kRows, kPanel, 1, kIsa}, run_panels<Algorithm>};
}

}  // namespace
}  // namespace thew
