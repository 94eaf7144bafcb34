// ARMv8.0-A NEON, the Arm floor: 32 registers of 16 bytes, fused multiply-add, by-lane forms.
#pragma once

#include <arm_neon.h>

#include "cpu/isa.hpp"

#define THEW_VECTOR_REGISTER "w"  // in asm constraints

namespace thew {
namespace {

inline constexpr Isa kIsa = Isa::neon;
inline constexpr std::size_t kVectorBytes = 16;
inline constexpr int kVectorRegisters = 32;
inline constexpr bool kLaneMultiply = true;

template <>
struct Bound<float> {  // fmax and fmin give NaN where either operand is NaN
    typedef float V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V raise(V x, V low) { return (V)vmaxq_f32((float32x4_t)x, (float32x4_t)low); }
    static THEW_INLINE V lower(V x, V high) { return (V)vminq_f32((float32x4_t)x, (float32x4_t)high); }
};
template <>
struct Interleave<float> {
    typedef float V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE void store(float* to, const V (&rows)[4]) { vst4q_f32(to, {{(float32x4_t)rows[0], (float32x4_t)rows[1], (float32x4_t)rows[2], (float32x4_t)rows[3]}}); }
};
template <>
struct Bound<double> {  // fmax and fmin give NaN where either operand is NaN
    typedef double V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V raise(V x, V low) { return (V)vmaxq_f64((float64x2_t)x, (float64x2_t)low); }
    static THEW_INLINE V lower(V x, V high) { return (V)vminq_f64((float64x2_t)x, (float64x2_t)high); }
};
template <>
struct Interleave<double> {
    typedef double V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE void store(double* to, const V (&rows)[2]) { vst2q_f64(to, {{(float64x2_t)rows[0], (float64x2_t)rows[1]}}); }
};

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
