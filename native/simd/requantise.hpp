// From fp32 values, counted in steps of a quantised tensor, to its bytes: clamp, round halves to even, add the zero
// point. The bounds are whole numbers, so that clamping first changes nothing, and no value leaves int32.
#pragma once

#include "simd/convert.hpp"
#include "simd/vec.hpp"

namespace thew {
namespace {

using Int32s = Vec<std::int32_t>;
inline constexpr int kWordLanes = kLanes<std::int32_t>;

struct Requantise {
    Vec<float> low, high;
    Int32s zero;

    Requantise(std::int32_t zero_point, std::int32_t least, std::int32_t most)
        : low(splat(static_cast<float>(least - zero_point))),
          high(splat(static_cast<float>(most - zero_point))),
          zero(splat(zero_point)) {}

    THEW_INLINE Int32s operator()(Vec<float> value) const {
        value = value > low ? value : low;  // NaN too
        value = value < high ? value : high;
        return __builtin_convertvector(Whole<float>::nearest(value), Int32s) + zero;
    }
};

// Stores the first `columns` of a vector as C, `stride` elements apart.
template <class C>
THEW_INLINE void store_columns(C* to, Int32s value, std::int64_t stride, std::int64_t columns) {
    if (stride == 1 && columns >= kWordLanes) return store_as<kWordLanes, C, std::int32_t>(to, value);
    C narrow[kWordLanes];
    store_as<kWordLanes, C, std::int32_t>(narrow, value);
    for (int n = 0; n < kWordLanes && n < columns; ++n) to[n * stride] = narrow[n];
}

}  // namespace
}  // namespace thew
