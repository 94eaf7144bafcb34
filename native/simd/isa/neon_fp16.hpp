// ARMv8.2 NEON with fp16 arithmetic (and dot products).
#pragma once

#include "simd/isa/neon_dotprod.hpp"

namespace thew {
namespace {

// fp16 as a type to compute in (Fp16 is one to store): vectors of it add and multiply; gcc 12 compares them one by one.
using Half = __fp16;
typedef Half HalfLanes __attribute__((vector_size(kVectorBytes)));

// As neon.hpp's. Lanes of 16 bits are taken from v0 to v15 only, which gcc fills with accumulators, to move factors
// about: they are given v0 and v1.
template <int Lane, int Which>
THEW_INLINE void multiply_add_lane(HalfLanes& sum, HalfLanes weights, HalfLanes x) {
    if constexpr (Which == 0) {
        register HalfLanes factors asm("v0") = x;
        asm("fmla %0.8h, %1.8h, %2.h[%3]" : "+w"(sum) : "w"(weights), "w"(factors), "i"(Lane));
    } else {
        register HalfLanes factors asm("v1") = x;
        asm("fmla %0.8h, %1.8h, %2.h[%3]" : "+w"(sum) : "w"(weights), "w"(factors), "i"(Lane));
    }
}
template <int Lane, int Which>
THEW_INLINE void multiply_lane(HalfLanes& sum, HalfLanes weights, HalfLanes x) {
    static_assert(Which == 0);  // the first k
    register HalfLanes factors asm("v0") = x;
    asm("fmul %0.8h, %1.8h, %2.h[%3]" : "=w"(sum) : "w"(weights), "w"(factors), "i"(Lane));
}

template <class T>
struct InterleaveHalves {
    // 16 elements from each of eight rows, as two blocks of 8 × 8 transposed (see Interleave<float>): neighbouring rows
    // are zipped, so that st4 finds pairs of them in words.
    static THEW_INLINE void copy(const T* (&rows)[8], T*& to, std::int64_t block_bytes) {
        asm volatile(
            "ldp q0, q1, [%[r0]], #32\n\t"
            "ldp q2, q3, [%[r1]], #32\n\t"
            "ldp q4, q5, [%[r2]], #32\n\t"
            "ldp q6, q7, [%[r3]], #32\n\t"
            "ldp q16, q17, [%[r4]], #32\n\t"
            "ldp q18, q19, [%[r5]], #32\n\t"
            "ldp q20, q21, [%[r6]], #32\n\t"
            "ldp q22, q23, [%[r7]], #32\n\t"
            "zip1 v24.8h, v0.8h, v2.8h\n\t"
            "zip1 v25.8h, v4.8h, v6.8h\n\t"
            "zip1 v26.8h, v16.8h, v18.8h\n\t"
            "zip1 v27.8h, v20.8h, v22.8h\n\t"
            "zip2 v28.8h, v0.8h, v2.8h\n\t"
            "zip2 v29.8h, v4.8h, v6.8h\n\t"
            "zip2 v30.8h, v16.8h, v18.8h\n\t"
            "zip2 v31.8h, v20.8h, v22.8h\n\t"
            "st4 {v24.4s, v25.4s, v26.4s, v27.4s}, [%[to]]\n\t"
            "add x16, %[to], %[half]\n\t"
            "st4 {v28.4s, v29.4s, v30.4s, v31.4s}, [x16]\n\t"
            "add %[to], %[to], %[block]\n\t"
            "zip1 v24.8h, v1.8h, v3.8h\n\t"
            "zip1 v25.8h, v5.8h, v7.8h\n\t"
            "zip1 v26.8h, v17.8h, v19.8h\n\t"
            "zip1 v27.8h, v21.8h, v23.8h\n\t"
            "zip2 v28.8h, v1.8h, v3.8h\n\t"
            "zip2 v29.8h, v5.8h, v7.8h\n\t"
            "zip2 v30.8h, v17.8h, v19.8h\n\t"
            "zip2 v31.8h, v21.8h, v23.8h\n\t"
            "st4 {v24.4s, v25.4s, v26.4s, v27.4s}, [%[to]]\n\t"
            "add x16, %[to], %[half]\n\t"
            "st4 {v28.4s, v29.4s, v30.4s, v31.4s}, [x16]\n\t"
            "add %[to], %[to], %[block]"
            : [r0] "+&r"(rows[0]), [r1] "+&r"(rows[1]), [r2] "+&r"(rows[2]), [r3] "+&r"(rows[3]), [r4] "+&r"(rows[4]),
              [r5] "+&r"(rows[5]), [r6] "+&r"(rows[6]), [r7] "+&r"(rows[7]), [to] "+&r"(to)
            : [block] "r"(block_bytes), [half] "r"(std::int64_t{64})
            : "x16", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19", "v20", "v21", "v22",
              "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", "memory");
    }
};
struct Fp16;
template <>
struct Interleave<Fp16> : InterleaveHalves<Fp16> {};
template <>
struct Interleave<Half> : InterleaveHalves<Half> {};
template <>
struct Bound<Half> {  // a NaN in either operand gives NaN
    static THEW_INLINE HalfLanes raise(HalfLanes x, HalfLanes low) {
        return (HalfLanes)vmaxq_f16((float16x8_t)x, (float16x8_t)low);
    }
    static THEW_INLINE HalfLanes lower(HalfLanes x, HalfLanes high) {
        return (HalfLanes)vminq_f16((float16x8_t)x, (float16x8_t)high);
    }
};

}  // namespace
}  // namespace thew
