// Vectors written once for every ISA: GNU vector extensions for arithmetic (gcc and clang), one header per ISA for what
// C++ cannot say. A kernel unit is compiled with THEW_ISA set and includes this file; everything in it is internal to
// the unit (anonymous namespace, always inlined), since units differ in flags.
//
// Conventions: Vec<T> is one register; `a * b + c` contracts to a fused multiply-add (-ffp-contract=fast); a comparison
// gives a mask vector for `mask ? a : b`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "cpu/isa.hpp"

#define THEW_INLINE inline __attribute__((always_inline))
#define THEW_STRINGIFY_(x) #x
#define THEW_STRINGIFY(x) THEW_STRINGIFY_(x)

// Each ISA header defines kVectorBytes, kVectorRegisters, kLaneMultiply (a multiply-add takes one lane of a
// vector as its factor), and what the templates below and simd/math.hpp call.
namespace thew {
namespace {
inline constexpr Isa kIsa = Isa::THEW_ISA;
template <class T>
struct Bound;  // raise, lower
template <class T>
struct Interleave;  // where kLaneMultiply: copies from kLanes rows, transposed
}  // namespace
}  // namespace thew

// clang-format off
#include THEW_STRINGIFY(simd/isa/THEW_ISA.hpp)
// clang-format on

namespace thew {
namespace {

template <class T>
struct VecOf {
    typedef T type __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
    typedef T value __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Vec = typename VecOf<T>::value;  // in registers

template <class T>
inline constexpr int kLanes = static_cast<int>(kVectorBytes / sizeof(T));

template <class T>
THEW_INLINE Vec<T> load(const T* from) {  // any alignment
    return *reinterpret_cast<const typename VecOf<T>::type*>(from);
}
template <class T>
THEW_INLINE void store(T* to, Vec<T> value) {
    *reinterpret_cast<typename VecOf<T>::type*>(to) = value;
}
// Half a register: a core that splits its widest operations runs these twice as fast.
template <class T>
struct NarrowOf {
    typedef T type __attribute__((vector_size(kVectorBytes / 2), aligned(sizeof(T)), may_alias));
    typedef T value __attribute__((vector_size(kVectorBytes / 2)));
};
template <class T>
using Narrow = typename NarrowOf<T>::value;

template <class T>
THEW_INLINE Narrow<T> load_narrow(const T* from) {
    return *reinterpret_cast<const typename NarrowOf<T>::type*>(from);
}
template <class T, int... I>
THEW_INLINE Narrow<T> low_half(Vec<T> x, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(x, x, I...);
}
template <class T>
THEW_INLINE Narrow<T> low_half(Vec<T> x) {
    return low_half<T>(x, std::make_integer_sequence<int, kLanes<T> / 2>{});
}
template <class T, int... I>
THEW_INLINE Vec<T> widen(Narrow<T> x, std::integer_sequence<int, I...>) {  // the upper half is whatever
    return __builtin_shufflevector(x, x, I...);
}
template <class T>
THEW_INLINE Vec<T> widen(Narrow<T> x) {
    return widen<T>(x, std::make_integer_sequence<int, kLanes<T>>{});
}
template <class T>
THEW_INLINE Vec<T> splat(T value) {
    return value - Vec<T>{};  // not 0 + value: that turns -0 into +0, so gcc keeps the addition
}
// The first `count` lanes (0 ≤ count ≤ kLanes<T>): memory beyond them is neither read nor written; the rest load as 0.
template <class T>
THEW_INLINE Vec<T> load_partial(const T* from, int count) {
    return Partial<T>::load(from, count);
}
template <class T>
THEW_INLINE void store_partial(T* to, Vec<T> value, int count) {
    Partial<T>::store(to, value, count);
}
// x raised to at least `low`, or lowered to at most `high`; a NaN in x stays (bounds are not NaN).
template <class T>
THEW_INLINE Vec<T> raise_to(Vec<T> x, Vec<T> low) {
    return Bound<T>::raise(x, low);
}
template <class T>
THEW_INLINE Vec<T> lower_to(Vec<T> x, Vec<T> high) {
    return Bound<T>::lower(x, high);
}
// As IEEE max/min of the ONNX reference (NumPy): a NaN in either operand gives NaN.
template <class V>
THEW_INLINE V maximum(V a, V b) {
    V larger = a > b ? a : b;
    return a != a ? a : larger;
}
template <class V>
THEW_INLINE V minimum(V a, V b) {
    V smaller = a < b ? a : b;
    return a != a ? a : smaller;
}

}  // namespace
}  // namespace thew

// Says nothing to the processor, but makes the compiler hold a value in one register at this point: for loops whose
// accumulators gcc would rename and spill, and for pointers that should be bumped rather than recomputed.
#define THEW_PIN(vector) asm("" : "+" THEW_VECTOR_REGISTER(vector))
#define THEW_PIN_POINTER(pointer) asm("" : "+r"(pointer))
