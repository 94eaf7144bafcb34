// Products of small integers on each ISA, summed exactly into the int32 lane that their elements fill: bytes where the
// ISA multiplies bytes without saturating on the way (VNNI, dotprod, i8mm), else 16-bit integers.
//
//   DotOfPairs   A = B = int16   add(sum, a, b): lane i gains a[2i]·b[2i] + a[2i+1]·b[2i+1]
//   DotOfQuads   A = uint8 or int8, B = int8: lane i gains the products of its four bytes
#pragma once

#include "simd/vec.hpp"

namespace thew {
namespace {

using Sums = Vec<std::int32_t>;

#if defined(__x86_64__)

struct DotOfPairs {
    using A = std::int16_t;
    static constexpr int kGroup = 2;
    static THEW_INLINE Sums add(Sums sum, Sums a, Sums b) {
#if defined(__AVX512BW__)
        return sum + (Sums)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
        return sum + (Sums)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
        return sum + (Sums)_mm_madd_epi16((__m128i)a, (__m128i)b);
#endif
    }
};

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
struct DotOfQuads {
    using A = std::uint8_t;
    static constexpr int kGroup = 4;
    static THEW_INLINE Sums add(Sums sum, Sums a, Sums b) {
#if defined(__AVX512VNNI__)
        return (Sums)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#else
        return (Sums)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)b);
#endif
    }
};
#endif

#elif defined(__ARM_FEATURE_DOTPROD)

struct DotOfQuads {
    using A = std::int8_t;
    static constexpr int kGroup = 4;
    static THEW_INLINE Sums add(Sums sum, Sums a, Sums b) {
        return (Sums)vdotq_s32((int32x4_t)sum, (int8x16_t)a, (int8x16_t)b);
    }
};

#endif

}  // namespace
}  // namespace thew
