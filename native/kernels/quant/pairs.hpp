// Sums and products of quantised rows, a vector of 32-bit lanes at a time.
#pragma once

#include "kernels/quant/contract.hpp"
#include "simd/requantise.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

// A row's operand: where it is, or one element repeated.
template <class Q>
struct PairOperand {
    const Q* at;
    std::int64_t step;
    THEW_INLINE Int32s load(std::int64_t column, std::int64_t columns) const {
        if (step == 0) return Int32s{} + static_cast<std::int32_t>(*at);
        return load_columns(at + column, 1, columns);
    }
};

template <class Q, class Combine>
THEW_INLINE void pair_rows(const Leaf& leaf, const PairSteps& steps, Combine combine) {
    const Requantise requantise(steps.y_zero, steps.low, steps.high);
    for (std::int64_t row = 0; row < leaf.rows; ++row) {
        const auto at = [&](int operand) THEW_FLAT { return leaf.data[operand] + row * leaf.row_bytes[operand]; };
        Q* out = reinterpret_cast<Q*>(at(0));
        const PairOperand<Q> a{reinterpret_cast<const Q*>(at(1)), leaf.step[1]};
        const PairOperand<Q> b{reinterpret_cast<const Q*>(at(2)), leaf.step[2]};
        for (std::int64_t column = 0; column < leaf.cols; column += kWordLanes) {
            const std::int64_t columns = leaf.cols - column;
            const Vec<float> found = combine(a.load(column, columns), b.load(column, columns));
            store_columns(out + column, requantise(found), 1, columns);
        }
    }
}

template <class Q>
void add_rows(const Leaf& leaf, const void* parameters) {
    const PairSteps& steps = *static_cast<const PairSteps*>(parameters);
    const Int32s a_zero = splat(steps.a_zero), b_zero = splat(steps.b_zero);
    const Vec<float> a_ratio = splat(steps.a_ratio), b_ratio = splat(steps.b_ratio);
    pair_rows<Q>(leaf, steps, [&](Int32s a, Int32s b) THEW_FLAT {
        return steps_of(a, a_zero, a_ratio) + steps_of(b, b_zero, b_ratio);
    });
}

// Products of differences of bytes are exact in fp32.
template <class Q>
void multiply_rows(const Leaf& leaf, const void* parameters) {
    const PairSteps& steps = *static_cast<const PairSteps*>(parameters);
    const Int32s a_zero = splat(steps.a_zero), b_zero = splat(steps.b_zero);
    const Vec<float> ratio = splat(steps.a_ratio);
    pair_rows<Q>(leaf, steps, [&](Int32s a, Int32s b) THEW_FLAT {
        return steps_of(
            __builtin_convertvector(a - a_zero, Vec<float>) * __builtin_convertvector(b - b_zero, Vec<float>), ratio);
    });
}

}  // namespace
}  // namespace thew
