// As spread.hpp, of bytes: an input is four channels of a group, which a lane multiplies at once. Where the ISA
// multiplies bytes of the other sign, pixels are moved by 128.
#pragma once

#include "simd/dot.hpp"
#include "simd/spread.hpp"

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__) || defined(__ARM_FEATURE_DOTPROD)
#define THEW_HAS_QUADS

namespace thew {
namespace {

inline constexpr int kQuad = 4;

template <class Q>
inline constexpr bool kMovesBytes = std::is_signed_v<Q> != std::is_signed_v<DotOfQuads::A>;

template <class Q>
THEW_INLINE Sums as_factor(Sums quads) {
    if constexpr (kMovesBytes<Q>) return quads ^ splat(static_cast<std::int32_t>(0x80808080u));
    return quads;
}

// Groups of whole vectors of channels: all lanes read the same four.
template <class Q>
class QuadsForAll {
public:
    using In = Q;
    using Sum = std::int32_t;
    static constexpr int kAtOnce = 1;

    explicit THEW_INLINE QuadsForAll(std::int64_t) {}

    struct Inputs {
        std::int64_t offset;

        template <int N>
        THEW_INLINE auto read(const Q* const* pixels) const {
            return [pixels, offset = offset](auto q) THEW_FLAT {
                std::int32_t quad;
                __builtin_memcpy(&quad, pixels[q] + offset, sizeof quad);
                return as_factor<Q>(splat(quad));
            };
        }
    };
    THEW_INLINE Inputs inputs(std::int64_t from, std::int64_t i) const { return {from + kQuad * i}; }

    template <int>
    static THEW_INLINE void multiply_add(Sums& sum, Sums weights, Sums quads) {
        sum = DotOfQuads::add(sum, quads, weights);
    }
};

#if defined(__x86_64__)
// Several groups in a vector: as many bytes as it has lanes, brought to the lanes of their groups.
template <class Q>
class PermutedQuads {
    template <int... I>
    static THEW_INLINE Sums own_quads(std::integer_sequence<int, I...>) {
        return Sums{(I / kQuad)...};
    }
    const Sums begin_;  // the quad where a lane's group begins

public:
    using In = Q;
    using Sum = std::int32_t;
    static constexpr int kAtOnce = 1;

    explicit THEW_INLINE PermutedQuads(std::int64_t inputs)
        : begin_(own_quads(std::make_integer_sequence<int, kLanes<Sum>>{}) & splat(-static_cast<Sum>(inputs))) {}

    struct Inputs {
        std::int64_t offset;
        Sums lanes;

        template <int N>
        THEW_INLINE auto read(const Q* const* pixels) const {
            return [pixels, offset = offset, lanes = lanes](auto q) THEW_FLAT {
#if defined(__AVX512F__)
                const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixels[q] + offset));
                const auto all = (Sums)_mm512_maskz_broadcast_i32x4(0xffff, bytes);
#else
                long long bytes;
                __builtin_memcpy(&bytes, pixels[q] + offset, sizeof bytes);
                const auto all = (Sums)_mm256_set1_epi64x(bytes);
#endif
                return as_factor<Q>(__builtin_shuffle(all, lanes));
            };
        }
    };
    THEW_INLINE Inputs inputs(std::int64_t from, std::int64_t i) const { return {from, begin_ + static_cast<Sum>(i)}; }

    template <int Input>
    static THEW_INLINE void multiply_add(Sums& sum, Sums weights, Sums quads) {
        QuadsForAll<Q>::template multiply_add<Input>(sum, weights, quads);
    }
};
#endif

}  // namespace
}  // namespace thew

#endif
