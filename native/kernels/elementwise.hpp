// How elementwise kernel units walk a Leaf: full vectors, and a tail that is the last full vector of the row, computed
// before anything is stored (so that an output may be an input) and stored last. A row shorter than a vector is staged
// in a buffer of one.
#pragma once

#include "kernels/leaf.hpp"
#include "simd/unroll.hpp"
#include "simd/vec.hpp"

namespace thew {
namespace {

// The inputs of one row: vectors at a column, or the same splat at every column.
template <class T, int N>
struct RowInputs {
    const T* at[N];
    std::int64_t step[N];
    alignas(kVectorBytes) T staged[N][kLanes<T>];

    THEW_INLINE RowInputs(const Leaf& leaf, std::int64_t row) {
#pragma GCC unroll 4
        for (int n = 0; n < N; ++n) {
            at[n] = reinterpret_cast<const T*>(leaf.data[n + 1] + row * leaf.row_bytes[n + 1]);
            step[n] = leaf.step[n + 1];
            if (step[n] != 0 && leaf.cols >= kLanes<T>) continue;
            store(staged[n], step[n] == 0 ? splat(*at[n]) : load_partial(at[n], static_cast<int>(leaf.cols)));
            at[n] = staged[n];
        }
    }
    template <class Op>
    THEW_INLINE auto apply(const Op& op, std::int64_t column) const {
        if constexpr (N == 1) {
            return op(load(at[0] + column * step[0]));
        } else if constexpr (N == 2) {
            return op(load(at[0] + column * step[0]), load(at[1] + column * step[1]));
        } else {
            return op(load(at[0] + column * step[0]), load(at[1] + column * step[1]), load(at[2] + column * step[2]));
        }
    }
};

// A vector of results whose elements are as wide as the operands'.
template <class T>
struct SameWidth {
    using Output = T;
    static THEW_INLINE void put(T* to, Vec<T> value) { store(to, value); }
    static THEW_INLINE void put_partial(T* to, Vec<T> value, int count) { store_partial(to, value, count); }
};

// out[r, c] = op(in0[r, c], …) for N inputs of type T; Writer says what a result is and how it is stored.
template <class T, int N, class Writer = SameWidth<T>, class Op>
THEW_INLINE void map_rows(const Leaf& leaf, const Op& op) {
    using Output = typename Writer::Output;
    constexpr std::int64_t lanes = kLanes<T>;
    const bool partial = leaf.cols < lanes;
    const std::int64_t last = partial ? 0 : leaf.cols - lanes;
    for (std::int64_t row = 0; row < leaf.rows; ++row) {
        const RowInputs<T, N> inputs(leaf, row);
        Output* out = reinterpret_cast<Output*>(leaf.data[0] + row * leaf.row_bytes[0]);
        auto tail = inputs.apply(op, last);
        for (std::int64_t column = 0; column < last; column += lanes) {
            Writer::put(out + column, inputs.apply(op, column));
        }
        if (partial) {
            Writer::put_partial(out, tail, static_cast<int>(leaf.cols));
        } else {
            Writer::put(out + last, tail);
        }
    }
}

// Where no vector form exists: f on every lane.
template <class T, class F>
THEW_INLINE Vec<T> each_lane(Vec<T> x, const F& f) {
    Vec<T> result{};  // set first, or gcc for AArch64 warns
    for (int lane = 0; lane < kLanes<T>; ++lane) result[lane] = f(x[lane]);
    return result;
}
template <class T, class F>
THEW_INLINE Vec<T> each_lane(Vec<T> x, Vec<T> y, const F& f) {
    Vec<T> result{};  // set first, or gcc for AArch64 warns
    for (int lane = 0; lane < kLanes<T>; ++lane) result[lane] = f(x[lane], y[lane]);
    return result;
}

}  // namespace
}  // namespace thew
