// x86-64-v2 (up to SSE4.2), the x86 floor: 16 registers of 16 bytes, no fused multiply-add.
#pragma once

#include <nmmintrin.h>

#define THEW_VECTOR_REGISTER "x"  // in asm constraints

namespace thew {
namespace {

inline constexpr std::size_t kVectorBytes = 16;
inline constexpr int kVectorRegisters = 16;
inline constexpr bool kLaneMultiply = false;

template <>
struct Bound<float> {  // max and min give their second operand where either is NaN
    typedef float V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V raise(V x, V low) { return (V)_mm_max_ps((__m128)low, (__m128)x); }
    static THEW_INLINE V lower(V x, V high) { return (V)_mm_min_ps((__m128)high, (__m128)x); }
};
template <>
struct Bound<double> {  // max and min give their second operand where either is NaN
    typedef double V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V raise(V x, V low) { return (V)_mm_max_pd((__m128d)low, (__m128d)x); }
    static THEW_INLINE V lower(V x, V high) { return (V)_mm_min_pd((__m128d)high, (__m128d)x); }
};

// Rounding to whole numbers (nearest: ties to even), and square roots.
template <class T>
struct Whole;
template <>
struct Whole<float> {
    typedef float V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V down(V x) { return (V)_mm_round_ps((__m128)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
    static THEW_INLINE V up(V x) { return (V)_mm_round_ps((__m128)x, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
    static THEW_INLINE V nearest(V x) {
        return (V)_mm_round_ps((__m128)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    static THEW_INLINE V toward_zero(V x) { return (V)_mm_round_ps((__m128)x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
    static THEW_INLINE V square_root(V x) { return (V)_mm_sqrt_ps((__m128)x); }
};

template <>
struct Whole<double> {
    typedef double V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V down(V x) { return (V)_mm_round_pd((__m128d)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
    static THEW_INLINE V up(V x) { return (V)_mm_round_pd((__m128d)x, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
    static THEW_INLINE V nearest(V x) {
        return (V)_mm_round_pd((__m128d)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    static THEW_INLINE V toward_zero(V x) {
        return (V)_mm_round_pd((__m128d)x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    }
    static THEW_INLINE V square_root(V x) { return (V)_mm_sqrt_pd((__m128d)x); }
};

}  // namespace
}  // namespace thew

#include "simd/isa/partial.hpp"
