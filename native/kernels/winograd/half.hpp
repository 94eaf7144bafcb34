// Winograd's algorithm in fp16 arithmetic, where the core has it: transforms, products and sums of up to kMost of these
// in fp16. See docs/decisions/043-fp16-winograd.md for what that costs in accuracy.
#pragma once

#include "kernels/winograd/product.hpp"
#include "simd/activation.hpp"
#include "simd/half.hpp"

namespace thew {
namespace {

#if defined(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC)
template <>
THEW_INLINE Vec<Half> splat<Half>(Half value) {
    return (Vec<Half>)vdupq_n_f16(value);
}

template <>
struct SumDepth<Half> {
    static constexpr std::int64_t kMost = 128;
    static constexpr int L = kLanes<float>;

    static THEW_INLINE void gain(float* sums, Vec<Half> part) {
        HalfWords half[2];
        __builtin_memcpy(half, &part, sizeof half);
        store(sums, load(sums) + Fp16::widen(half[0]));
        store(sums + L, load(sums + L) + Fp16::widen(half[1]));
    }
    static THEW_INLINE Vec<Half> narrowed(const float* sums) {
        const HalfWords half[2] = {Fp16::narrow(load(sums)), Fp16::narrow(load(sums + L))};
        Vec<Half> whole;
        __builtin_memcpy(&whole, half, sizeof whole);
        return whole;
    }
};

// Those beyond a clip have exponentials, which are computed in fp32.
THEW_INLINE Vec<Half> activated(Activation activation, Vec<Half> x, Half p0, Half p1) {
    HalfWords half[2];
    __builtin_memcpy(half, &x, sizeof half);
    for (HalfWords& part : half) {
        part = Fp16::narrow(
            activate<float>(activation, Fp16::widen(part), static_cast<float>(p0), static_cast<float>(p1)));
    }
    __builtin_memcpy(&x, half, sizeof x);
    return x;
}
#endif

template <class T>
THEW_INLINE Vec<T> activated(Activation activation, Vec<T> x, T p0, T p1) {
    return activate<T>(activation, x, p0, p1);
}

}  // namespace
}  // namespace thew
