// fp16 and bf16 as storage: elements of 16 bits that are loaded as fp32 and rounded once, to nearest even, when stored.
// bf16 is shifts; fp16 takes the ISA's instructions (F16C, fcvtl and fcvtn), or integer arithmetic where it has none:
// the exponent is rebased by adding (127 - 15) << 23, and subnormals go through a float addition that lines their bits
// up (F. Giesen, "Float to half conversions", 2012: the idea of the magic numbers).
#pragma once

#include "simd/vec.hpp"

namespace thew {
namespace {

using Words = Vec<std::uint32_t>;
typedef std::uint16_t HalfWords __attribute__((vector_size(kVectorBytes / 2)));  // as many as a register holds of fp32

#if defined(__AVX512F__)
struct Fp16Conversion {
    static THEW_INLINE Vec<float> widen(HalfWords x) { return (Vec<float>)_mm512_maskz_cvtph_ps(0xffff, (__m256i)x); }
    static THEW_INLINE HalfWords narrow(Vec<float> x) {
        return (HalfWords)_mm512_maskz_cvtps_ph(0xffff, (__m512)x, _MM_FROUND_TO_NEAREST_INT);
    }
};
#elif defined(__F16C__)
struct Fp16Conversion {
    static THEW_INLINE Vec<float> widen(HalfWords x) { return (Vec<float>)_mm256_cvtph_ps((__m128i)x); }
    static THEW_INLINE HalfWords narrow(Vec<float> x) {
        return (HalfWords)_mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT);
    }
};
#elif defined(__aarch64__)
struct Fp16Conversion {  // of ARMv8.0 already
    static THEW_INLINE Vec<float> widen(HalfWords x) { return (Vec<float>)vcvt_f32_f16((float16x4_t)x); }
    static THEW_INLINE HalfWords narrow(Vec<float> x) { return (HalfWords)vcvt_f16_f32((float32x4_t)x); }
};
#else
struct Fp16Conversion {
    static THEW_INLINE Vec<float> widen(HalfWords x) {
        const Words half = __builtin_convertvector(x, Words);
        const Words magnitude = (half & 0x7fffu) << 13, sign = (half & 0x8000u) << 16;
        const Words exponent = magnitude & 0x0f800000u;
        const Words normal = magnitude + 0x38000000u;
        const Words special = magnitude + 0x70000000u;  // infinities and NaNs
        const Words small = (Words)((Vec<float>)(magnitude + 0x38800000u) - 0x1p-14f);
        const Words finite = exponent == 0u ? small : normal;
        return (Vec<float>)(sign | (exponent == 0x0f800000u ? special : finite));
    }
    static THEW_INLINE HalfWords narrow(Vec<float> x) {
        const Words bits = (Words)x, magnitude = bits & 0x7fffffffu, sign = (bits >> 16) & 0x8000u;
        const Words normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
        const Words small = (Words)((Vec<float>)magnitude + 0.5f) - 0x3f000000u;
        const Words special = magnitude > 0x7f800000u ? Words{} + 0x7e00u : Words{} + 0x7c00u;
        const Words finite = magnitude < 0x38800000u ? small : normal;
        return __builtin_convertvector(sign | (magnitude >= 0x47800000u ? special : finite), HalfWords);
    }
};
#endif

struct Fp16 {
    std::uint16_t bits;
    static THEW_INLINE Vec<float> widen(HalfWords x) { return Fp16Conversion::widen(x); }
    static THEW_INLINE HalfWords narrow(Vec<float> x) { return Fp16Conversion::narrow(x); }
};

struct Bf16 {
    std::uint16_t bits;
    static THEW_INLINE Vec<float> widen(HalfWords x) { return (Vec<float>)(__builtin_convertvector(x, Words) << 16); }
    static THEW_INLINE HalfWords narrow(Vec<float> x) {
#if defined(__AVX512BF16__)  // subnormals become zero
        return (HalfWords)_mm512_cvtneps_pbh((__m512)x);
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
        return (HalfWords)vcvt_bf16_f32((float32x4_t)x);
#else
        const Words bits = (Words)x, rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
        const Words quiet = (bits >> 16) | 0x40u;
        return __builtin_convertvector((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded, HalfWords);
#endif
    }
};

template <class T>
inline constexpr bool kIsHalf = false;
template <>
inline constexpr bool kIsHalf<Fp16> = true;
template <>
inline constexpr bool kIsHalf<Bf16> = true;

// The type that an element is copied as.
template <class T>
struct RawOf {
    using type = T;
};
template <>
struct RawOf<Fp16> {
    typedef std::uint16_t type __attribute__((may_alias));
};
template <>
struct RawOf<Bf16> {
    typedef std::uint16_t type __attribute__((may_alias));
};
template <class T>
using Raw = typename RawOf<T>::type;

// The type that an element in memory is computed in.
template <class T>
struct WideOf {
    using type = T;
};
template <>
struct WideOf<Fp16> {
    using type = float;
};
template <>
struct WideOf<Bf16> {
    using type = float;
};
template <class T>
using Wide = typename WideOf<T>::type;

// kLanes<Wide<T>> elements; the tails touch the first `count` in memory alone, and load the rest as 0.
template <class T>
THEW_INLINE Vec<Wide<T>> load_widened(const T* from) {
    if constexpr (kIsHalf<T>) {
        HalfWords half;
        __builtin_memcpy(&half, from, sizeof half);
        return T::widen(half);
    } else {
        return load(from);
    }
}
template <class T>
THEW_INLINE void store_narrowed(T* to, Vec<Wide<T>> value) {
    if constexpr (kIsHalf<T>) {
        const HalfWords half = T::narrow(value);
        __builtin_memcpy(to, &half, sizeof half);
    } else {
        store(to, value);
    }
}
template <class T>
THEW_INLINE Vec<Wide<T>> load_widened_partial(const T* from, int count) {
    if constexpr (kIsHalf<T>) {
        T staged[kLanes<float>] = {};
        __builtin_memcpy(staged, from, static_cast<std::size_t>(count) * sizeof(T));
        return load_widened(staged);
    } else {
        return load_partial(from, count);
    }
}
template <class T>
THEW_INLINE void store_narrowed_partial(T* to, Vec<Wide<T>> value, int count) {
    if constexpr (kIsHalf<T>) {
        const HalfWords half = T::narrow(value);
        __builtin_memcpy(to, &half, static_cast<std::size_t>(count) * sizeof(T));
    } else {
        store_partial(to, value, count);
    }
}

// One element.
template <class T>
THEW_INLINE Wide<T> wide_of(T value) {
    if constexpr (kIsHalf<T>) {
        return T::widen(HalfWords{value.bits})[0];
    } else {
        return value;
    }
}
template <class T>
THEW_INLINE T narrow_to(Wide<T> value) {
    if constexpr (kIsHalf<T>) {
        return {static_cast<std::uint16_t>(T::narrow(Vec<float>{value})[0])};
    } else {
        return value;
    }
}

}  // namespace
}  // namespace thew
