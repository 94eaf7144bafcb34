// AVX-512 with VNNI, BF16 and FP16 arithmetic.
#pragma once

#include "simd/isa/avx512_bf16.hpp"

namespace thew {
namespace {

typedef _Float16 HalfLanes __attribute__((vector_size(kVectorBytes)));

THEW_INLINE HalfLanes multiply_add_half(HalfLanes x, HalfLanes w, HalfLanes sum) {
    return (HalfLanes)_mm512_fmadd_ph((__m512h)x, (__m512h)w, (__m512h)sum);
}

}  // namespace
}  // namespace thew
