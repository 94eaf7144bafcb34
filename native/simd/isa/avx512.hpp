// AVX-512 (F, BW, DQ, VL): 32 registers of 64 bytes, masked tails.
#pragma once

#include <immintrin.h>

#define THEW_VECTOR_REGISTER "v"  // in asm constraints

namespace thew {
namespace {

inline constexpr std::size_t kVectorBytes = 64;
inline constexpr int kVectorRegisters = 32;
inline constexpr bool kLaneMultiply = false;

template <>
struct Bound<float> {  // max and min give their second operand where either is NaN (maskz: the plain form trips gcc 12,
                       // PR 105593)
    typedef float V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V raise(V x, V low) { return (V)_mm512_maskz_max_ps(0xffff, (__m512)low, (__m512)x); }
    static THEW_INLINE V lower(V x, V high) { return (V)_mm512_maskz_min_ps(0xffff, (__m512)high, (__m512)x); }
};
template <>
struct Bound<double> {  // max and min give their second operand where either is NaN (maskz: the plain form trips gcc
                        // 12, PR 105593)
    typedef double V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V raise(V x, V low) { return (V)_mm512_maskz_max_pd(0xff, (__m512d)low, (__m512d)x); }
    static THEW_INLINE V lower(V x, V high) { return (V)_mm512_maskz_min_pd(0xff, (__m512d)high, (__m512d)x); }
};

template <class T>
struct Partial {
    typedef T V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V load(const T* from, int count) {
        if constexpr (sizeof(T) == 4) {
            return (V)_mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << count) - 1), from);
        } else if constexpr (sizeof(T) == 8) {
            return (V)_mm512_maskz_loadu_epi64(static_cast<__mmask8>((1u << count) - 1), from);
        } else if constexpr (sizeof(T) == 2) {
            return (V)_mm512_maskz_loadu_epi16(static_cast<__mmask32>((std::uint64_t{1} << count) - 1), from);
        } else {
            return (V)_mm512_maskz_loadu_epi8(count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1, from);
        }
    }
    static THEW_INLINE void store(T* to, V value, int count) {
        if constexpr (sizeof(T) == 4) {
            _mm512_mask_storeu_epi32(to, static_cast<__mmask16>((1u << count) - 1), (__m512i)value);
        } else if constexpr (sizeof(T) == 8) {
            _mm512_mask_storeu_epi64(to, static_cast<__mmask8>((1u << count) - 1), (__m512i)value);
        } else if constexpr (sizeof(T) == 2) {
            _mm512_mask_storeu_epi16(to, static_cast<__mmask32>((std::uint64_t{1} << count) - 1), (__m512i)value);
        } else {
            _mm512_mask_storeu_epi8(to, count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1,
                                    (__m512i)value);
        }
    }
};

// Rounding to whole numbers (nearest: ties to even), and square roots.
template <class T>
struct Whole;
template <>
struct Whole<float> {
    typedef float V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V down(V x) {
        return (V)_mm512_maskz_roundscale_ps(0xffff, (__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    }
    static THEW_INLINE V up(V x) {
        return (V)_mm512_maskz_roundscale_ps(0xffff, (__m512)x, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
    }
    static THEW_INLINE V nearest(V x) {
        return (V)_mm512_maskz_roundscale_ps(0xffff, (__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    static THEW_INLINE V toward_zero(V x) {
        return (V)_mm512_maskz_roundscale_ps(0xffff, (__m512)x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    }
    static THEW_INLINE V square_root(V x) { return (V)_mm512_maskz_sqrt_ps(0xffff, (__m512)x); }
};

template <>
struct Whole<double> {
    typedef double V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V down(V x) {
        return (V)_mm512_maskz_roundscale_pd(0xff, (__m512d)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    }
    static THEW_INLINE V up(V x) {
        return (V)_mm512_maskz_roundscale_pd(0xff, (__m512d)x, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
    }
    static THEW_INLINE V nearest(V x) {
        return (V)_mm512_maskz_roundscale_pd(0xff, (__m512d)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    static THEW_INLINE V toward_zero(V x) {
        return (V)_mm512_maskz_roundscale_pd(0xff, (__m512d)x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    }
    static THEW_INLINE V square_root(V x) { return (V)_mm512_maskz_sqrt_pd(0xff, (__m512d)x); }
};

}  // namespace
}  // namespace thew
