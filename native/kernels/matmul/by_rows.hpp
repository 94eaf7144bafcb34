// Tiles of 16-bit elements: sums go to a buffer, and what follows them, conversions and all, is done row by row from
// there. Written out for every height as the tiles of fp32 are, it would be most of the library; a tile's sums are
// stored and read once more, which is little beside its multiplications.
#pragma once

#include "kernels/matmul/tile.hpp"

namespace thew {
namespace {

// c = activation(sums + bias + addend) for rows of V vectors, side by side in `sums`; or what is kept of them, where k
// is cut into blocks.
template <int V, class T>
__attribute__((noinline)) void finish_rows(int rows, const Wide<T>* sums, const Write<T>& write) {
    constexpr int L = kLanes<Wide<T>>;
    const bool whole = write.columns == V * L;
    Vec<Wide<T>> bias[V]{};
    if (write.bias) unroll<V>([&](auto v) THEW_FLAT { bias[v] = fetch<V, false>(write.bias, v, write.columns); });
    Write<T> row = write;
    for (int i = 0; i < rows; ++i, ++row.c_offset, ++row.addend_offset, sums += V * L) {
        Vec<Wide<T>> acc[1][V];
        unroll<V>([&](auto v) THEW_FLAT { acc[0][v] = load(sums + v * L) + bias[v]; });
        if (row.sums) {
            if (!row.first) visit_sums(acc, row, [](auto& sum, auto* at) { sum += load(at); });
            if (!row.last) visit_sums(acc, row, [](auto& sum, auto* at) { store(at, sum); });
            row.sums += row.sums_row;
            if (!row.last) continue;
        }
        if (whole) {
            write_tile<1, V, true>(acc, row);
        } else {
            write_tile<1, V, false>(acc, row);
        }
    }
    if (write.activation > kLastInRegisters) activate_rows(write, rows);
}

template <class Inner>
struct ByRows : Inner {
    template <class N, int H, int V>
    static void tile(const typename N::A* a, std::int64_t ld, std::int64_t step, const typename N::B* b, std::int64_t k,
                     Ahead ahead, const Write<typename N::Memory>& write) {
        constexpr int kSums = V * kSumsOfVector<N>, L = kLanes<typename N::Sum>;
        constexpr int kDepth = Inner::kRequestDepth * N::kGroup;
        const std::int64_t asked = kDepth == 0 ? 0 : k / (kDepth == 0 ? 1 : kDepth);
        for (std::int64_t i = asked; i < H; ++i) prefetch_row<kSums>(write, static_cast<int>(i));
        Requests<H, kSums, typename N::Memory> requests{ahead, write, 0};
        alignas(64) typename N::Sum sums[H * kSums * L];
        if constexpr (kSumsOfVector<N> == 1) {
            typename N::Part acc[H][V];
            unroll<H * V>([&](auto n) THEW_FLAT { acc[n / V][n % V] = typename N::Part{}; });
            Inner::template multiply<N, H, V, false>(a, ld, step, b, k, requests, acc);
            unroll<H * V>([&](auto n) THEW_FLAT { store(sums + n * L, acc[n / V][n % V]); });
        } else {
            multiply_in_blocks<N, H, V>(a, ld, step, b, k, requests, sums);
        }
        finish_rows<kSums>(H, sums, write);
    }

private:
    // Sums of a wider type than the products: parts of N::kBlock k, added up between blocks.
    template <class N, int H, int V, class Request>
    static THEW_INLINE void multiply_in_blocks(const typename N::A* a, std::int64_t ld, std::int64_t step,
                                               const typename N::B* b, std::int64_t k, Request& request,
                                               typename N::Sum* sums) {
        constexpr int L = kLanes<typename N::Sum>;
        std::int64_t a_block = N::kBlock * step;
        if constexpr (Inner::kPanels) a_block = N::kBlock * Inner::kPanelRows;
        for (int i = 0; i < H * 2 * V; ++i) store(sums + i * L, Vec<typename N::Sum>{});
        for (std::int64_t rest = k; rest > 0; rest -= N::kBlock, a += a_block, b += N::kBlock * V * kVectorOfB<N>) {
            typename N::Part part[H][V];
            unroll<H * V>([&](auto n) THEW_FLAT { part[n / V][n % V] = typename N::Part{}; });
            const std::int64_t depth = rest < N::kBlock ? rest : N::kBlock;
            Inner::template multiply<N, H, V, false>(a, ld, step, b, depth, request, part);
            unroll<H * V>([&](auto n) THEW_FLAT {
                typename N::Sum* at = sums + 2 * n * L;
                Vec<typename N::Sum> low = load(at), high = load(at + L);
                N::gain(low, high, part[n / V][n % V]);
                store(at, low);
                store(at + L, high);
            });
        }
    }
};

}  // namespace
}  // namespace thew
