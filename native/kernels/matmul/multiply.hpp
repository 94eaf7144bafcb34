// The inner loops: H rows by V vectors of c stay in registers over a depth of k. Two forms, by what the ISA's
// multiply-add takes:
//
//   Broadcast  one element of a (one group, see numbers.hpp) from memory to all lanes: it is at row·ld + k·step. Packed
//   a is rows
//              (step 1), so that packing copies runs and evenly spaced rows of the source serve without packing; or
//              columns (ld 1), for sources whose neighbouring rows are neighbours in memory.
//   Lanes      one lane of a register. Packed a is panels of H rows: groups of L = kLanes rows, each L×L elements
//              transposed, so that a vector holds one k of L rows (and packing is a load per row and one interleaving
//              store).
//
// The empty asm statements keep gcc 12 honest: an accumulator pinned after each multiply-add stays in one register
// (else it is renamed, and spilled at 28 of them), and pointers bumped at each step fold into addressing modes.
#pragma once

#include <type_traits>

#include "kernels/matmul/numbers.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

struct NoScope {};  // what a worker sets up before its tiles, and takes down after them

struct Broadcast {
    static constexpr bool kPanels = false;       // whether packed rows are in panels even where they are not columns
    static constexpr bool kTakesColumns = true;  // whether a may be packed as columns
    static constexpr bool kStarts = false;       // whether start() makes the first sums, so that none begins at zero
    static constexpr int kRequestDepth = 4;      // groups of k; 0 where requests are not spread
    using Scope = NoScope;
    template <class N>
    static constexpr int kDepth = N::kGroup;  // k is padded to a multiple of it
    template <class N>
    static constexpr int kTogether = 1;  // rows that one load of packed a brings

    // `a_step` elements from a group of k to the next; k is whole groups. Of the last of V vectors only the lower half
    // counts where kNarrow is set. `request` asks for memory that will be wanted: called every kRequestDepth groups,
    // since requests in a burst hold up the loads of the multiplications.
    template <class N, int H, int V, bool kNarrow, class Request>
    static THEW_INLINE void multiply(const typename N::A* a, std::int64_t ld, std::int64_t a_step,
                                     const typename N::B* b, std::int64_t k, Request&& request,
                                     typename N::Part (&acc)[H][V]) {
        using T = typename N::Sum;
        constexpr int kWhole = kNarrow ? V - 1 : V;
        Narrow<T> last[H];
        if constexpr (kNarrow) unroll<H>([&](auto i) THEW_FLAT { last[i] = low_half<T>(acc[i][V - 1]); });
        constexpr int kPointers = (H + 2) / 3;  // each serves rows at 0, ld and 2·ld: what x86 can address
        const typename N::A* rows[kPointers];
        unroll<kPointers>([&](auto g) THEW_FLAT {
            rows[g] = a + 3 * g * ld;
            THEW_PIN_POINTER(rows[g]);
        });
        auto step = [&](auto u) THEW_FLAT {
            decltype(N::weights(b)) w[V];
            Narrow<T> w_last{};
            unroll<kWhole>([&](auto v) THEW_FLAT {
                w[v] = N::weights(b + (u * V + v) * kVectorOfB<N>);
                THEW_PIN(w[v]);
            });
            if constexpr (kNarrow) w_last = load_narrow(b + (u * V + V - 1) * kLanes<T>);
            unroll<H>([&](auto i) THEW_FLAT {
                const auto x = N::factor(rows[i / 3] + (i % 3) * ld);
                unroll<kWhole>([&](auto v) THEW_FLAT {
                    N::multiply_add(acc[i][v], x, w[v]);
                    THEW_PIN(acc[i][v]);
                });
                if constexpr (kNarrow) {
                    last[i] = low_half<T>(x) * w_last + last[i];
                    THEW_PIN(last[i]);
                }
            });
            unroll<kPointers>([&](auto g) THEW_FLAT {
                rows[g] += a_step;
                THEW_PIN_POINTER(rows[g]);
            });
        };
        for (; k >= 4 * N::kGroup; k -= 4 * N::kGroup) {
            request();
            unroll<4>(step);
            b += 4 * V * kVectorOfB<N>;
        }
        for (; k > 0; k -= N::kGroup) {
            step(Constant<0>{});
            b += V * kVectorOfB<N>;
        }
        if constexpr (kNarrow) unroll<H>([&](auto i) THEW_FLAT { acc[i][V - 1] = widen<T>(last[i]); });
    }
};

template <int PanelRows>
struct Lanes {
    static constexpr bool kPanels = true, kTakesColumns = true, kStarts = true;
    static constexpr int kRequestDepth = 0, kPanelRows = PanelRows;
    using Scope = NoScope;
    template <class N>
    static constexpr int kDepth = kVectorBytes / sizeof(typename N::A);
    template <class N>
    static constexpr int kTogether = kDepth<N>;

    // The first kDepth k, which make the sums.
    template <class N, int H, int V>
    static THEW_INLINE void start(const typename N::A* a, const typename N::B* b, typename N::Part (&acc)[H][V]) {
        unroll<kDepth<N> / 2>([&](auto u) THEW_FLAT { pair<N, H, V, u == 0>(a, b, acc, u); });
    }

    // k is a multiple of kDepth.
    template <class N, int H, int V, bool, class Request>
    static THEW_INLINE void multiply(const typename N::A* a, std::int64_t, std::int64_t, const typename N::B* b,
                                     std::int64_t k, Request&&, typename N::Part (&acc)[H][V]) {
        constexpr int L = kDepth<N>;
        auto add = [&](auto u) THEW_FLAT { pair<N, H, V, false>(a, b, acc, u); };
        const auto depth = static_cast<std::uint64_t>(k);
        for (std::uint64_t turns = depth / 16; turns > 0; --turns) {
            unroll<8>(add);
            a += 16 * PanelRows;
            b += 16 * V * kVectorOfB<N>;
        }
        for (std::uint64_t turns = depth % 16 / L; turns > 0; --turns) {
            unroll<L / 2>(add);
            a += L * PanelRows;
            b += L * V * kVectorOfB<N>;
        }
    }

private:
    // Two k at a time, so that neighbouring loads pair: 10 loads to 96 multiply-adds at 12×8. kFirst: whether the first
    // of them makes the sums, or adds to them.
    template <class N, int H, int V, bool kFirst, class Pair>
    static THEW_INLINE void pair(const typename N::A* a, const typename N::B* b, typename N::Part (&acc)[H][V],
                                 Pair u) {
        constexpr int L = kDepth<N>, kGroups = PanelRows / L, kBlock = 2 * u / L, kWithin = 2 * u % L;
        asm volatile("" ::: "memory");  // the next pair's loads stay there: no register is free for them
        decltype(N::weights(b)) w[2][V];
        unroll<2 * V>([&](auto n) THEW_FLAT { w[n / V][n % V] = N::weights(b + (2 * u * V + n) * kVectorOfB<N>); });
        unroll<2 * V>([&](auto n) THEW_FLAT { THEW_PIN(w[n / V][n % V]); });
        unroll<(H + L - 1) / L>([&](auto g) THEW_FLAT {
            const typename N::A* from = a + ((kBlock * kGroups + g) * L + kWithin) * L;
            decltype(N::factors(a)) x[2] = {N::factors(from), N::factors(from + L)};
            THEW_PIN(x[0]);
            THEW_PIN(x[1]);
            unroll<2 * L * V>([&](auto n) THEW_FLAT {
                constexpr int s = n / (L * V), lane = n / V % L, v = n % V, i = g * L + lane;
                if constexpr (i < H && kFirst && s == 0) {
                    N::template multiply_lane<lane, s>(acc[i][v], x[s], w[s][v]);
                } else if constexpr (i < H) {
                    N::template multiply_add_lane<lane, s>(acc[i][v], x[s], w[s][v]);
                }
            });
        });
    }
};

}  // namespace
}  // namespace thew
