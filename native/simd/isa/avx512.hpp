// AVX-512 (F, BW, DQ, VL): 32 registers of 64 bytes, masked tails.
#pragma once

#include <immintrin.h>

#include "kernels/row.hpp"

namespace thew {
namespace {

inline constexpr Isa kIsa = Isa::avx512;
inline constexpr std::size_t kVectorBytes = 64;
inline constexpr int kVectorRegisters = 32;

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

}  // namespace
}  // namespace thew
