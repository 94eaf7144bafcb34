// fp16 and bf16 as storage: conversions of one value, rounding to nearest even. Kernels have vector forms of their own;
// this is for plan-side code (a fill value, a pad value).
#pragma once

#include <cstdint>
#include <cstring>

namespace thew {

inline std::uint32_t float_bits(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float float_of(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline float from_bf16(std::uint16_t half) { return float_of(std::uint32_t{half} << 16); }

inline float from_fp16(std::uint16_t half) {
    const std::uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 0x1fu, fraction = half & 0x3ffu;
    if (exponent == 0) {  // zero or subnormal: steps of 2^-24
        const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    return float_of(sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13);
}

inline std::uint16_t to_bf16(float value) {
    const std::uint32_t bits = float_bits(value);
    if (value != value) return static_cast<std::uint16_t>(bits >> 16 | 0x40);  // quiet, and never rounded to infinity
    return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline std::uint16_t to_fp16(float value) {
    const std::uint32_t bits = float_bits(value), magnitude = bits & 0x7fffffff;
    const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
    if (magnitude > 0x7f800000) return sign | 0x7e00;
    if (magnitude >= 0x47800000) return sign | 0x7c00;
    if (magnitude < 0x38800000) {  // subnormal: adding 1/2 leaves the result, rounded, in the low bits
        return sign | static_cast<std::uint16_t>(float_bits(float_of(magnitude) + 0.5f) - 0x3f000000);
    }
    return sign | static_cast<std::uint16_t>((magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13);
}

}  // namespace thew
