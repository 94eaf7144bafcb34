// where: the condition's bytes widen to lane masks. Operands come as (out, a, b, condition).
#pragma once

#include "kernels/elementwise.hpp"
#include "kernels/select/contract.hpp"
#include "simd/convert.hpp"

namespace thew {
namespace {

template <class Word>  // a signed integer as wide as the element
void where_rows(const Leaf& leaf, const void*) {
    using V = Vec<Word>;
    constexpr std::int64_t lanes = kLanes<Word>;
    const bool partial = leaf.cols < lanes;
    const std::int64_t last = partial ? 0 : leaf.cols - lanes, step = leaf.step[3];
    for (std::int64_t row = 0; row < leaf.rows; ++row) {
        const RowInputs<Word, 2> inputs(leaf, row);
        const auto* condition = reinterpret_cast<const std::int8_t*>(leaf.data[3] + row * leaf.row_bytes[3]);
        alignas(kVectorBytes) std::int8_t staged[kLanes<Word>] = {};
        if (step == 0) {
            __builtin_memset(staged, *condition, sizeof staged);
            condition = staged;
        } else if (partial) {
            __builtin_memcpy(staged, condition, static_cast<std::size_t>(leaf.cols));
            condition = staged;
        }
        const auto choose = [&](std::int64_t column) THEW_FLAT {
            const V mask = load_as<Word, kLanes<Word>>(condition + column * step) != 0;
            return inputs.apply([&](V a, V b) THEW_FLAT { return mask ? a : b; }, column);
        };
        Word* out = reinterpret_cast<Word*>(leaf.data[0] + row * leaf.row_bytes[0]);
        const V tail = choose(last);
        for (std::int64_t column = 0; column < last; column += lanes) store(out + column, choose(column));
        store_partial(out + last, tail, static_cast<int>(partial ? leaf.cols : lanes));
    }
}

}  // namespace
}  // namespace thew
