// Sums of quantised rows, a vector of 32-bit lanes at a time.
#pragma once

#include "kernels/quant/contract.hpp"
#include "simd/requantise.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

// A row's operand: where it is, or one element repeated.
template <class Q>
struct AddOperand {
    const Q* at;
    std::int64_t step;
    THEW_INLINE Int32s load(std::int64_t column, std::int64_t columns) const {
        if (step == 0) return Int32s{} + static_cast<std::int32_t>(*at);
        return load_columns(at + column, 1, columns);
    }
};

template <class Q>
void add_rows(const Leaf& leaf, const void* parameters) {
    const AddSteps& steps = *static_cast<const AddSteps*>(parameters);
    const Requantise requantise(steps.y_zero, steps.low, steps.high);
    const Int32s a_zero = splat(steps.a_zero), b_zero = splat(steps.b_zero);
    const Vec<float> a_ratio = splat(steps.a_ratio), b_ratio = splat(steps.b_ratio);
    for (std::int64_t row = 0; row < leaf.rows; ++row) {
        const auto at = [&](int operand) THEW_FLAT { return leaf.data[operand] + row * leaf.row_bytes[operand]; };
        Q* out = reinterpret_cast<Q*>(at(0));
        const AddOperand<Q> a{reinterpret_cast<const Q*>(at(1)), leaf.step[1]};
        const AddOperand<Q> b{reinterpret_cast<const Q*>(at(2)), leaf.step[2]};
        for (std::int64_t column = 0; column < leaf.cols; column += kWordLanes) {
            const std::int64_t columns = leaf.cols - column;
            const Vec<float> sum =
                steps_of(a.load(column, columns), a_zero, a_ratio) + steps_of(b.load(column, columns), b_zero, b_ratio);
            store_columns(out + column, requantise(sum), 1, columns);
        }
    }
}

}  // namespace
}  // namespace thew
