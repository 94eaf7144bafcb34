// ARMv8.0-A NEON, the Arm floor: 32 registers of 16 bytes, fused multiply-add, by-lane forms.
#pragma once

#include <arm_neon.h>

#include "kernels/row.hpp"

#define THEW_VECTOR_REGISTER "w"  // in asm constraints

namespace thew {
namespace {

inline constexpr Isa kIsa = Isa::neon;
inline constexpr std::size_t kVectorBytes = 16;
inline constexpr int kVectorRegisters = 32;

// Rounding to whole numbers (nearest: ties to even), and square roots.
template <class T>
struct Whole;
template <>
struct Whole<float> {
    typedef float V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V down(V x) { return (V)vrndmq_f32((float32x4_t)x); }
    static THEW_INLINE V up(V x) { return (V)vrndpq_f32((float32x4_t)x); }
    static THEW_INLINE V nearest(V x) { return (V)vrndnq_f32((float32x4_t)x); }
    static THEW_INLINE V toward_zero(V x) { return (V)vrndq_f32((float32x4_t)x); }
    static THEW_INLINE V square_root(V x) { return (V)vsqrtq_f32((float32x4_t)x); }
};

template <>
struct Whole<double> {
    typedef double V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V down(V x) { return (V)vrndmq_f64((float64x2_t)x); }
    static THEW_INLINE V up(V x) { return (V)vrndpq_f64((float64x2_t)x); }
    static THEW_INLINE V nearest(V x) { return (V)vrndnq_f64((float64x2_t)x); }
    static THEW_INLINE V toward_zero(V x) { return (V)vrndq_f64((float64x2_t)x); }
    static THEW_INLINE V square_root(V x) { return (V)vsqrtq_f64((float64x2_t)x); }
};

}  // namespace
}  // namespace thew

#include "simd/isa/partial.hpp"
