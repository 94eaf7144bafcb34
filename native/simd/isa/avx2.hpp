// AVX2 with FMA and F16C: 16 registers of 32 bytes.
#pragma once

#include <immintrin.h>

#define THEW_VECTOR_REGISTER "x"  // in asm constraints

namespace thew {
namespace {

inline constexpr std::size_t kVectorBytes = 32;
inline constexpr int kVectorRegisters = 16;
inline constexpr bool kLaneMultiply = false;

template <>
struct Bound<float> {  // max and min give their second operand where either is NaN
    typedef float V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V raise(V x, V low) { return (V)_mm256_max_ps((__m256)low, (__m256)x); }
    static THEW_INLINE V lower(V x, V high) { return (V)_mm256_min_ps((__m256)high, (__m256)x); }
};
template <>
struct Bound<double> {  // max and min give their second operand where either is NaN
    typedef double V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V raise(V x, V low) { return (V)_mm256_max_pd((__m256d)low, (__m256d)x); }
    static THEW_INLINE V lower(V x, V high) { return (V)_mm256_min_pd((__m256d)high, (__m256d)x); }
};

// Rounding to whole numbers (nearest: ties to even), and square roots.
template <class T>
struct Whole;
template <>
struct Whole<float> {
    typedef float V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V down(V x) { return (V)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
    static THEW_INLINE V up(V x) { return (V)_mm256_round_ps((__m256)x, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
    static THEW_INLINE V nearest(V x) {
        return (V)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    static THEW_INLINE V toward_zero(V x) {
        return (V)_mm256_round_ps((__m256)x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    }
    static THEW_INLINE V square_root(V x) { return (V)_mm256_sqrt_ps((__m256)x); }
};

template <>
struct Whole<double> {
    typedef double V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V down(V x) { return (V)_mm256_round_pd((__m256d)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
    static THEW_INLINE V up(V x) { return (V)_mm256_round_pd((__m256d)x, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
    static THEW_INLINE V nearest(V x) {
        return (V)_mm256_round_pd((__m256d)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    static THEW_INLINE V toward_zero(V x) {
        return (V)_mm256_round_pd((__m256d)x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    }
    static THEW_INLINE V square_root(V x) { return (V)_mm256_sqrt_pd((__m256d)x); }
};

}  // namespace
}  // namespace thew

#include "simd/isa/partial.hpp"
