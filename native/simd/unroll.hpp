// Compile-time loops. gcc 12 leaves an array of accumulators in memory when it unrolls late; with constant indices from
// the start the array is scalarised before anything else runs.
#pragma once

#include <utility>

#include "simd/vec.hpp"

namespace thew {
namespace {

template <int N>
struct Constant {
    static constexpr int value = N;
    constexpr operator int() const { return N; }
};

template <class Body, int... I>
THEW_INLINE void unroll_over(std::integer_sequence<int, I...>, const Body& body) {
    (body(Constant<I>{}), ...);
}

// body(Constant<0>{}) … body(Constant<N - 1>{}); mark the lambda THEW_FLAT.
template <int N, class Body>
THEW_INLINE void unroll(const Body& body) {
    unroll_over(std::make_integer_sequence<int, N>{}, body);
}

}  // namespace
}  // namespace thew

#define THEW_FLAT __attribute__((always_inline))
