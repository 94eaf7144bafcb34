// Products of bf16 by bfmmla: a register of sums holds two rows of two columns, which gain the products of four k at
// once. Packed a is panels of pairs of rows: for each four k, those of a row and then those of the next; b is groups of
// four k (BfloatFours), a column after the other, which is what the instruction asks for. Sums are rows of c before and
// after the loop, and squares within.
#pragma once

#include "kernels/matmul/multiply.hpp"

namespace thew {
namespace {

struct Squares {
    static constexpr bool kPanels = true, kTakesColumns = false;
    static constexpr int kRows = 8, kVectors = 3;  // 24 registers of sums, 6 of b, one of a
    static constexpr int kRequestDepth = 0;
    using Scope = NoScope;
    template <class N>
    static constexpr int kDepth = N::kGroup;
    template <class N>
    static constexpr int kTogether = 2;

    template <class N, int H, int V, bool, class Request>
    static THEW_INLINE void multiply(const Bf16* a, std::int64_t, std::int64_t, const Bf16* b, std::int64_t k,
                                     Request&&, Vec<float> (&acc)[H][V]) {
        constexpr int kPairs = (H + 1) / 2;
        Vec<float> square[kPairs][2 * V];
        unroll<kPairs * V>([&](auto n) THEW_FLAT {
            constexpr int pair = n / V, v = n % V, next = 2 * pair + 1 < H ? 2 * pair + 1 : 2 * pair;
            turn(acc[2 * pair][v], acc[next][v], square[pair][2 * v], square[pair][2 * v + 1]);
        });
        for (; k > 0; k -= N::kGroup, a += N::kGroup * kRows, b += V * kVectorOfB<N>) {
            Vec<float> w[2 * V];
            unroll<2 * V>([&](auto n) THEW_FLAT {
                w[n] = load(reinterpret_cast<const float*>(b) + n * kLanes<float>);
                THEW_PIN(w[n]);
            });
            unroll<kPairs>([&](auto pair) THEW_FLAT {
                const Vec<float> x = load(reinterpret_cast<const float*>(a) + pair * kLanes<float>);
                unroll<2 * V>([&](auto n) THEW_FLAT {
                    square[pair][n] =
                        (Vec<float>)vbfmmlaq_f32((float32x4_t)square[pair][n], (bfloat16x8_t)x, (bfloat16x8_t)w[n]);
                    THEW_PIN(square[pair][n]);
                });
            });
        }
        unroll<kPairs * V>([&](auto n) THEW_FLAT {
            constexpr int pair = n / V, v = n % V;
            Vec<float> next;
            turn(square[pair][2 * v], square[pair][2 * v + 1], acc[2 * pair][v], next);
            if constexpr (2 * pair + 1 < H) acc[2 * pair + 1][v] = next;
        });
    }

private:
    // Two rows of four columns as two squares, and back: halves exchanged.
    static THEW_INLINE void turn(Vec<float> first, Vec<float> second, Vec<float>& low, Vec<float>& high) {
        low = __builtin_shufflevector(first, second, 0, 1, 4, 5);
        high = __builtin_shufflevector(first, second, 2, 3, 6, 7);
    }
};

// A pair of rows within a panel of PanelRows.
template <class T, int PanelRows>
struct SquareLayout {
    static constexpr int L = 2, kElements = 8, kBlock = 4 * PanelRows;  // elements of a pair; from four k to the next
    T* to;

    T* place(std::int64_t k) const { return to + k / 4 * kBlock + k % 4; }
    void operator()(std::int64_t k, const T* const (&from)[L], std::int64_t count) const {
        for (std::int64_t i = 0; i < count;) {
            if ((k + i) % 4 == 0 && count - i >= 4) {
                unroll<L>([&](auto l)
                              THEW_FLAT { __builtin_memcpy(place(k + i) + 4 * l, from[l] + i, 4 * sizeof(T)); });
                i += 4;
            } else {
                unroll<L>([&](auto l) THEW_FLAT { place(k + i)[4 * l] = from[l][i]; });
                ++i;
            }
        }
    }
    void zero(std::int64_t k) const {
        unroll<L>([&](auto l) THEW_FLAT { place(k)[4 * l] = T{}; });
    }
};

}  // namespace
}  // namespace thew
