// Quantisation of rows: lanes of 32 bits, narrowed and widened where the quantised type is loaded or stored. Operands:
// (out, x, scale, zero_point).
#pragma once

#include "kernels/elementwise.hpp"
#include "kernels/quant/contract.hpp"

namespace thew {
namespace {

inline constexpr int kQuantLanes = kLanes<float>;
using Ints = Vec<std::int32_t>;

// As many elements of Q as there are lanes of 32 bits.
template <class Q>
struct Quantised {
    typedef Q V __attribute__((vector_size(kQuantLanes * sizeof(Q))));
    static THEW_INLINE Ints load(const Q* from) {
        V narrow;
        __builtin_memcpy(&narrow, from, sizeof narrow);
        return __builtin_convertvector(narrow, Ints);
    }
    static THEW_INLINE void store(Q* to, Ints wide) {
        V narrow = __builtin_convertvector(wide, V);
        __builtin_memcpy(to, &narrow, sizeof narrow);
    }
};

// One operand of a row: consecutive elements, or one for all; staged where the row is shorter than a vector.
template <class E>
struct RowOperand {
    const E* at;
    std::int64_t step;
    E staged[kQuantLanes];

    THEW_INLINE RowOperand(const Leaf& leaf, int operand, std::int64_t row) {
        at = reinterpret_cast<const E*>(leaf.data[operand] + row * leaf.row_bytes[operand]);
        step = leaf.step[operand];
        if (step != 0 && leaf.cols >= kQuantLanes) return;
        for (int lane = 0; lane < kQuantLanes; ++lane) {
            staged[lane] = step == 0 ? *at : lane < leaf.cols ? at[lane] : E(1);
        }
        at = staged;
    }
    THEW_INLINE const E* operator[](std::int64_t column) const { return at + column * step; }
};

// out = op(column) for whole vectors, the last of which overlaps the one before; `put` stores a vector at a column.
template <class Out, class Op, class Put>
THEW_INLINE void map_row(Out* out, std::int64_t cols, const Op& op, const Put& put) {
    if (cols < kQuantLanes) {
        Out staged[kQuantLanes];
        put(staged, op(0));
        __builtin_memcpy(out, staged, static_cast<std::size_t>(cols) * sizeof(Out));
        return;
    }
    const std::int64_t last = cols - kQuantLanes;
    for (std::int64_t column = 0; column < last; column += kQuantLanes) put(out + column, op(column));
    put(out + last, op(last));
}

template <class Q>
void quantize_rows(const Leaf& leaf, const void*) {
    constexpr float low = static_cast<float>(Q(-1) < Q(0) ? -(1 << (8 * sizeof(Q) - 1)) : 0);
    constexpr float high = low + static_cast<float>((1 << (8 * sizeof(Q))) - 1);
    for (std::int64_t row = 0; row < leaf.rows; ++row) {
        const RowOperand<float> x(leaf, 1, row), scale(leaf, 2, row);
        const RowOperand<Q> zero(leaf, 3, row);
        const auto op = [&](std::int64_t column) THEW_FLAT {
            Vec<float> value = Whole<float>::nearest(load(x[column]) / load(scale[column])) +
                               __builtin_convertvector(Quantised<Q>::load(zero[column]), Vec<float>);
            value = value > low ? value : splat(low);
            value = value < high ? value : splat(high);
            return __builtin_convertvector(value, Ints);
        };
        map_row(reinterpret_cast<Q*>(leaf.data[0] + row * leaf.row_bytes[0]), leaf.cols, op,
                [](Q* to, Ints value) THEW_FLAT { Quantised<Q>::store(to, value); });
    }
}

template <class Q>
void dequantize_rows(const Leaf& leaf, const void*) {
    for (std::int64_t row = 0; row < leaf.rows; ++row) {
        const RowOperand<Q> x(leaf, 1, row), zero(leaf, 3, row);
        const RowOperand<float> scale(leaf, 2, row);
        const auto op = [&](std::int64_t column) THEW_FLAT {
            const Ints centred = Quantised<Q>::load(x[column]) - Quantised<Q>::load(zero[column]);
            return __builtin_convertvector(centred, Vec<float>) * load(scale[column]);
        };
        map_row(reinterpret_cast<float*>(leaf.data[0] + row * leaf.row_bytes[0]), leaf.cols, op,
                [](float* to, Vec<float> value) THEW_FLAT { store(to, value); });
    }
}

}  // namespace
}  // namespace thew
