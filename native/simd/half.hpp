// fp16 and bf16 as storage, over vectors: integer arithmetic only, so that one text serves every ISA.
// fp16's exponent is rebased by adding (127 - 15) << 23; subnormals go through a float addition that lines their bits
// up (F. Giesen, "Float to half conversions", 2012: the idea of the magic numbers).
#pragma once

#include "simd/vec.hpp"

namespace thew {
namespace {

using Words = Vec<std::uint32_t>;

THEW_INLINE Words fp16_from_fp32(Words bits) {  // in the low halves
    const Words magnitude = bits & 0x7fffffffu, sign = (bits >> 16) & 0x8000u;
    const Words normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
    const Words small = (Words)((Vec<float>)magnitude + 0.5f) - 0x3f000000u;
    const Words special = magnitude > 0x7f800000u ? Words{} + 0x7e00u : Words{} + 0x7c00u;
    const Words finite = magnitude < 0x38800000u ? small : normal;
    return sign | (magnitude >= 0x47800000u ? special : finite);
}

THEW_INLINE Words fp32_from_fp16(Words half) {
    const Words magnitude = (half & 0x7fffu) << 13, sign = (half & 0x8000u) << 16, exponent = magnitude & 0x0f800000u;
    const Words normal = magnitude + 0x38000000u;
    const Words special = magnitude + 0x70000000u;  // infinities and NaNs
    const Words small = (Words)((Vec<float>)(magnitude + 0x38800000u) - 0x1p-14f);
    const Words finite = exponent == 0u ? small : normal;
    return sign | (exponent == 0x0f800000u ? special : finite);
}

THEW_INLINE Words bf16_from_fp32(Words bits) {
    const Words rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const Words quiet = (bits >> 16) | 0x40u;
    return (bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded;
}

THEW_INLINE Words fp32_from_bf16(Words half) { return half << 16; }

}  // namespace
}  // namespace thew
