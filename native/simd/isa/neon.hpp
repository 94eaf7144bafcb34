// ARMv8.0-A NEON, the Arm floor: 32 registers of 16 bytes, fused multiply-add, by-lane forms.
#pragma once

#include <arm_neon.h>

#define THEW_VECTOR_REGISTER "w"  // in asm constraints

namespace thew {
namespace {

inline constexpr std::size_t kVectorBytes = 16;
inline constexpr int kVectorRegisters = 32;
inline constexpr bool kLaneMultiply = true;

template <>
struct Bound<float> {  // fmax and fmin give NaN where either operand is NaN
    typedef float V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V raise(V x, V low) { return (V)vmaxq_f32((float32x4_t)x, (float32x4_t)low); }
    static THEW_INLINE V lower(V x, V high) { return (V)vminq_f32((float32x4_t)x, (float32x4_t)high); }
};
// sum += weights · x[Lane], or = (for the first one). In asm, since gcc 12 moves the sums of its own multiply-adds
// about. Which: see neon_fp16.hpp.
template <int Lane, int Which>
THEW_INLINE void multiply_add_lane(Bound<float>::V& sum, Bound<float>::V weights, Bound<float>::V x) {
    asm("fmla %0.4s, %1.4s, %2.s[%3]" : "+w"(sum) : "w"(weights), "w"(x), "i"(Lane));
}
template <int Lane, int Which>
THEW_INLINE void multiply_lane(Bound<float>::V& sum, Bound<float>::V weights, Bound<float>::V x) {
    asm("fmul %0.4s, %1.4s, %2.s[%3]" : "=w"(sum) : "w"(weights), "w"(x), "i"(Lane));
}
template <>
struct Interleave<float> {
    // 8 elements from each of four rows, which move on by as many: two blocks of 4 × 4 transposed, `block_bytes` apart;
    // `to` moves on past them. In asm since gcc 12 copies every register that it hands to st4.
    static THEW_INLINE void copy(const float* (&rows)[4], float*& to, std::int64_t block_bytes) {
        asm volatile(
            "ldp q0, q4, [%[r0]], #32\n\t"
            "ldp q1, q5, [%[r1]], #32\n\t"
            "ldp q2, q6, [%[r2]], #32\n\t"
            "ldp q3, q7, [%[r3]], #32\n\t"
            "st4 {v0.4s, v1.4s, v2.4s, v3.4s}, [%[to]], %[block]\n\t"
            "st4 {v4.4s, v5.4s, v6.4s, v7.4s}, [%[to]], %[block]"
            : [r0] "+&r"(rows[0]), [r1] "+&r"(rows[1]), [r2] "+&r"(rows[2]), [r3] "+&r"(rows[3]), [to] "+&r"(to)
            : [block] "r"(block_bytes)
            : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "memory");
    }
};
template <>
struct Bound<double> {  // fmax and fmin give NaN where either operand is NaN
    typedef double V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V raise(V x, V low) { return (V)vmaxq_f64((float64x2_t)x, (float64x2_t)low); }
    static THEW_INLINE V lower(V x, V high) { return (V)vminq_f64((float64x2_t)x, (float64x2_t)high); }
};
template <int Lane, int Which>
THEW_INLINE void multiply_add_lane(Bound<double>::V& sum, Bound<double>::V weights, Bound<double>::V x) {
    asm("fmla %0.2d, %1.2d, %2.d[%3]" : "+w"(sum) : "w"(weights), "w"(x), "i"(Lane));
}
template <int Lane, int Which>
THEW_INLINE void multiply_lane(Bound<double>::V& sum, Bound<double>::V weights, Bound<double>::V x) {
    asm("fmul %0.2d, %1.2d, %2.d[%3]" : "=w"(sum) : "w"(weights), "w"(x), "i"(Lane));
}
template <>
struct Interleave<double> {
    static THEW_INLINE void copy(const double* (&rows)[2], double*& to,
                                 std::int64_t block_bytes) {  // 4 from each of two
        asm volatile(
            "ldp q0, q2, [%[r0]], #32\n\t"
            "ldp q1, q3, [%[r1]], #32\n\t"
            "st2 {v0.2d, v1.2d}, [%[to]], %[block]\n\t"
            "st2 {v2.2d, v3.2d}, [%[to]], %[block]"
            : [r0] "+&r"(rows[0]), [r1] "+&r"(rows[1]), [to] "+&r"(to)
            : [block] "r"(block_bytes)
            : "v0", "v1", "v2", "v3", "memory");
    }
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
