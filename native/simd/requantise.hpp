// From fp32 values, counted in steps of a quantised tensor, to its bytes: round halves to even, add the zero point,
// clamp. Bounds are whole numbers, so that it does not matter which is done first.
#pragma once

#include <type_traits>

#include "simd/vec.hpp"

namespace thew {
namespace {

using Int32s = Vec<std::int32_t>;
inline constexpr int kWordLanes = kLanes<std::int32_t>;

// Bytes, 16-bit and 32-bit integers, as many as an Int32s has lanes; conversions go by a factor of two, since gcc 12
// takes larger ones apart (see simd/convert.hpp, whose names the trunk's kernels use otherwise).
template <class T>
struct LaneWiseOf {
    typedef T type __attribute__((vector_size(kLanes<std::int32_t> * sizeof(T))));
};
template <class T>
struct Halfway {
    using type = typename LaneWiseOf<std::uint16_t>::type;
};
template <>
struct Halfway<std::int8_t> {
    using type = typename LaneWiseOf<std::int16_t>::type;
};

// Bytes in memory, widened.
template <class Q>
THEW_INLINE Int32s load_wide(const Q* from) {
    typename LaneWiseOf<Q>::type bytes;
    __builtin_memcpy(&bytes, from, sizeof bytes);
#if defined(__AVX512F__)
    const auto whole = (__m128i)bytes;
    return std::is_signed_v<Q> ? (Int32s)_mm512_maskz_cvtepi8_epi32(0xffff, whole)
                               : (Int32s)_mm512_maskz_cvtepu8_epi32(0xffff, whole);
#else
    return __builtin_convertvector(__builtin_convertvector(bytes, typename Halfway<Q>::type), Int32s);
#endif
}

// The first `columns` of a vector from bytes `stride` elements apart, widened.
template <class Q>
THEW_INLINE Int32s load_columns(const Q* from, std::int64_t stride, std::int64_t columns) {
    if (stride == 1 && columns >= kWordLanes) return load_wide(from);
    Q staged[kWordLanes] = {};
    for (int n = 0; n < kWordLanes && n < columns; ++n) staged[n] = from[n * stride];
    return load_wide(staged);
}

// A quantised operand, less its zero point, in steps of another tensor. Pinned, so that no product is contracted into a
// sum: ISAs would round differently.
THEW_INLINE Vec<float> steps_of(Vec<float> value, Vec<float> ratio) {
    Vec<float> product = value * ratio;
    THEW_PIN(product);
    return product;
}
THEW_INLINE Vec<float> steps_of(Int32s value, Int32s zero, Vec<float> ratio) {
    return steps_of(__builtin_convertvector(value - zero, Vec<float>), ratio);
}

// Nearest whole numbers, halves to even (maskz: the plain form trips gcc 12, PR 105593); what is beyond int32 on the
// low side gives its least.
THEW_INLINE Int32s nearest_int(Vec<float> value) {
#if defined(__AVX512F__)
    return (Int32s)_mm512_maskz_cvtps_epi32(0xffff, (__m512)value);
#elif defined(__AVX2__)
    return (Int32s)_mm256_cvtps_epi32((__m256)value);
#elif defined(__x86_64__)
    return (Int32s)_mm_cvtps_epi32((__m128)value);
#else
    return (Int32s)vcvtnq_s32_f32((float32x4_t)value);
#endif
}

// A value in steps, rounded and clamped as Requantise does with a zero point of 0, but left as a float.
struct WholeSteps {
    Vec<float> low, high;

    THEW_INLINE Vec<float> operator()(Vec<float> value) const {
        return raise_to<float>(lower_to<float>(Whole<float>::nearest(value), high), low);
    }
};

struct Requantise {
    Vec<float> high;
    Int32s zero, low;

    Requantise(std::int32_t zero_point, std::int32_t least, std::int32_t most)
        : high(splat(static_cast<float>(most - zero_point))), zero(splat(zero_point)), low(splat(least)) {}

    // The value is no NaN. Bounded above before it is converted, and below after.
    THEW_INLINE Int32s operator()(Vec<float> value) const {
        const Int32s whole = nearest_int(lower_to<float>(value, high)) + zero;
        return whole > low ? whole : low;
    }
};

// Stores the lanes as bytes or as they are, side by side.
template <class C>
THEW_INLINE void store_narrow(C* to, Int32s value) {
    if constexpr (sizeof(C) == 4) {
        store(to, value);
    } else {
#if defined(__AVX512F__)
        const __m128i bytes = _mm512_maskz_cvtepi32_epi8(0xffff, (__m512i)value);
#else
        using Words = typename Halfway<C>::type;
        const auto bytes = __builtin_convertvector(__builtin_convertvector(value, Words), typename LaneWiseOf<C>::type);
#endif
        __builtin_memcpy(to, &bytes, sizeof bytes);
    }
}

// Stores the first `columns` of a vector as C, `stride` elements apart.
template <class C>
THEW_INLINE void store_columns(C* to, Int32s value, std::int64_t stride, std::int64_t columns) {
    if (stride == 1 && columns >= kWordLanes) return store_narrow(to, value);
    C narrow[kWordLanes];
    store_narrow(narrow, value);
    for (int n = 0; n < kWordLanes && n < columns; ++n) to[n * stride] = narrow[n];
}

}  // namespace
}  // namespace thew
