// A function of one byte as a table of 256 bytes, for a vector of bytes at a time where an ISA permutes whole tables:
// 16 bits at a time on AVX-512 (the word that holds a byte, then the byte), four registers at a time on Arm. Elsewhere
// each byte is a load.
#pragma once

#include "simd/unroll.hpp"
#include "simd/vec.hpp"

namespace thew {
namespace {

using Bytes = Vec<std::uint8_t>;

#if defined(__AVX512BW__)

class ByteTable {
public:
    static constexpr bool kInVectors = true;
    explicit ByteTable(const std::uint8_t* table) {
        unroll<4>([&](auto i) THEW_FLAT { words_[i] = _mm512_loadu_si512(table + 64 * i); });
    }
    THEW_INLINE Bytes operator()(Bytes x) const {
        const auto both = (__m512i)x;
        const __m512i even = _mm512_and_si512(both, _mm512_set1_epi16(0xff)),
                      odd = _mm512_maskz_srli_epi16(kAll, both, 8);
        const __m512i low = _mm512_maskz_srlv_epi16(kAll, word(even), shift(even));
        const __m512i high = _mm512_maskz_srlv_epi16(kAll, word(odd), shift(odd));
        return (Bytes)_mm512_or_si512(_mm512_and_si512(low, _mm512_set1_epi16(0xff)),
                                      _mm512_maskz_slli_epi16(kAll, high, 8));
    }

private:
    static constexpr __mmask32 kAll = ~__mmask32{0};
    // The word that holds byte `at` of the table, in lanes of 16 bits; and where in it the byte begins.
    THEW_INLINE __m512i word(__m512i at) const {
        const __m512i index = _mm512_maskz_srli_epi16(kAll, at, 1);
        return _mm512_mask_blend_epi16(_mm512_test_epi16_mask(at, _mm512_set1_epi16(128)),
                                       _mm512_permutex2var_epi16(words_[0], index, words_[1]),
                                       _mm512_permutex2var_epi16(words_[2], index, words_[3]));
    }
    static THEW_INLINE __m512i shift(__m512i at) {
        return _mm512_maskz_slli_epi16(kAll, _mm512_and_si512(at, _mm512_set1_epi16(1)), 3);
    }
    __m512i words_[4];
};

#elif defined(__aarch64__)

class ByteTable {
public:
    static constexpr bool kInVectors = true;
    explicit ByteTable(const std::uint8_t* table) {
        unroll<4>([&](auto i) THEW_FLAT { parts_[i] = vld1q_u8_x4(table + 64 * i); });
    }
    THEW_INLINE Bytes operator()(Bytes x) const {
        const auto at = (uint8x16_t)x;
        uint8x16_t found = vqtbl4q_u8(parts_[0], at);
        unroll<3>([&](auto i) THEW_FLAT {
            found = vqtbx4q_u8(found, parts_[i + 1], vsubq_u8(at, vdupq_n_u8(static_cast<std::uint8_t>(64 * (i + 1)))));
        });
        return (Bytes)found;
    }

private:
    uint8x16x4_t parts_[4];
};

#else

class ByteTable {
public:
    static constexpr bool kInVectors = false;
    explicit ByteTable(const std::uint8_t*) {}
    THEW_INLINE Bytes operator()(Bytes x) const { return x; }
};

#endif

}  // namespace
}  // namespace thew
