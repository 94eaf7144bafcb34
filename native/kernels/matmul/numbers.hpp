// What the elements of a product are, in memory (a, b, bias, residual, c), packed (A, B), multiplied and summed, and
// the one step that every tile is made of: part += factor · weights, for kGroup neighbouring k at once (packed, the
// elements of a group lie side by side). A part is the sum itself, or (HalfProducts) gathers kBlock k of it in a
// narrower type.
#pragma once

#include "simd/half.hpp"

namespace thew {
namespace {

template <class T>
struct Plain {
    using Memory = T;
    using A = T;
    using B = T;
    using Sum = T;
    using Part = Vec<T>;
    static constexpr int kGroup = 1, kColumns = kLanes<T>;  // of c behind a vector of b
    static THEW_INLINE Vec<T> factor(const T* a) { return splat(*a); }
    static THEW_INLINE Vec<T> factors(const T* a) { return load(a); }  // where the multiply-add takes a lane of them
    static THEW_INLINE Vec<T> weights(const T* b) { return load(b); }
    static THEW_INLINE void multiply_add(Vec<T>& part, Vec<T> x, Vec<T> w) { part = x * w + part; }
#if defined(__aarch64__)
    template <int Lane, int Which>
    static THEW_INLINE void multiply_add_lane(Vec<T>& part, Vec<T> x, Vec<T> w) {
        thew::multiply_add_lane<Lane, Which>(part, w, x);
    }
    template <int Lane, int Which>
    static THEW_INLINE void multiply_lane(Vec<T>& part, Vec<T> x, Vec<T> w) {
        thew::multiply_lane<Lane, Which>(part, w, x);
    }
#endif
};

// fp16 and bf16 where the core multiplies neither: a is widened while it is packed, b at every use (it streams from
// memory at half the bytes, and two loads in a tile's thirty are all it costs), c is rounded once.
template <class Half>
struct Widened : Plain<float> {
    using Memory = Half;
    using B = Half;
    static THEW_INLINE Vec<float> weights(const Half* b) { return load_widened(b); }
};

#if defined(__AVX512BF16__)
// bf16, two neighbouring k a lane (vdpbf16ps): products are exact, sums fp32; subnormals count as zero.
struct BfloatPairs {
    using Memory = Bf16;
    using A = Bf16;
    using B = Bf16;
    using Sum = float;
    using Part = Vec<float>;
    static constexpr int kGroup = 2, kColumns = kLanes<float>;
    static THEW_INLINE Words factor(const Bf16* a) {
        std::uint32_t pair;
        __builtin_memcpy(&pair, a, sizeof pair);
        return splat(pair);
    }
    static THEW_INLINE Words weights(const Bf16* b) { return load(reinterpret_cast<const std::uint32_t*>(b)); }
    static THEW_INLINE void multiply_add(Vec<float>& part, Words x, Words w) {
        part = (Vec<float>)_mm512_dpbf16_ps((__m512)part, (__m512bh)x, (__m512bh)w);
    }
};
#endif

#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
// bf16, four neighbouring k of two rows by those of two columns an instruction (bfmmla): see squares.hpp.
struct BfloatFours {
    using Memory = Bf16;
    using A = Bf16;
    using B = Bf16;
    using Sum = float;
    using Part = Vec<float>;
    static constexpr int kGroup = 4, kColumns = kLanes<float>;
};
#endif

#if defined(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC) || defined(__AVX512FP16__)
// fp16 where the core multiplies it: kBlock products are summed in fp16, those sums in fp32. A whole sum in fp16 would
// lose most of its bits over thousands of terms; over kBlock the error stays below (kBlock + 2)·2^-11·Σ|terms|, and the
// fp32 additions are one in some forty instructions.
struct HalfProducts {
    using Memory = Fp16;
    using A = Fp16;
    using B = Fp16;
    using Sum = float;
    using Part = HalfLanes;
    static constexpr int kGroup = 1, kColumns = kLanes<std::uint16_t>, kBlock = 192;
    static THEW_INLINE HalfLanes factors(const Fp16* a) {
        return (HalfLanes)load(reinterpret_cast<const Raw<Fp16>*>(a));
    }
    static THEW_INLINE HalfLanes weights(const Fp16* b) { return factors(b); }
#if defined(__aarch64__)
    template <int Lane, int Which>
    static THEW_INLINE void multiply_add_lane(HalfLanes& part, HalfLanes x, HalfLanes w) {
        thew::multiply_add_lane<Lane, Which>(part, w, x);
    }
#else
    static THEW_INLINE HalfLanes factor(const Fp16* a) {
        return (HalfLanes)splat(*reinterpret_cast<const Raw<Fp16>*>(a));
    }
    static THEW_INLINE void multiply_add(HalfLanes& part, HalfLanes x, HalfLanes w) {
        part = multiply_add_half(x, w, part);
    }
#endif
    // Two vectors of sums gain what a part holds.
    static THEW_INLINE void gain(Vec<float>& low, Vec<float>& high, HalfLanes part) {
        HalfWords half[2];
        __builtin_memcpy(half, &part, sizeof half);
        low += Fp16::widen(half[0]);
        high += Fp16::widen(half[1]);
    }
};
#endif

template <class N>
inline constexpr int kSumsOfVector = N::kColumns / kLanes<typename N::Sum>;  // vectors of sums behind one of b
template <class N>
inline constexpr int kVectorOfB = N::kColumns* N::kGroup;  // elements of packed b in a vector

}  // namespace
}  // namespace thew
