// Sums over lanes, many at a time: a tree of pairwise additions turns L vectors into the one vector of their sums, with
// 2 shuffles and an addition a sum where each vector by itself would take log2(L) of both.
#pragma once

#include "simd/unroll.hpp"

namespace thew {
namespace {

template <class T, int... I>
THEW_INLINE Vec<T> add_pairs(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, (2 * I)...) + __builtin_shufflevector(a, b, (2 * I + 1)...);
}

template <class T, int N>
THEW_INLINE Vec<T> add_neighbours(const Vec<T> (&v)[N]) {
    if constexpr (N == 1) {
        return v[0];
    } else {
        Vec<T> next[N / 2];
        unroll<N / 2>([&](auto i) THEW_FLAT {
            next[i] = add_pairs<T>(v[2 * i], v[2 * i + 1], std::make_integer_sequence<int, kLanes<T>>{});
        });
        return add_neighbours<T, N / 2>(next);
    }
}

// Lane i of the result: the sum over the lanes of v[i]. The order of additions depends on the vector's width alone.
template <class T>
THEW_INLINE Vec<T> sum_lanes(const Vec<T> (&v)[kLanes<T>]) {
    return add_neighbours<T, kLanes<T>>(v);
}

}  // namespace
}  // namespace thew
