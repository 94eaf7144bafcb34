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
        float absolute;
        std::memcpy(&absolute, &magnitude, sizeof absolute);
        return sign | static_cast<std::uint16_t>(float_bits(absolute + 0.5f) - 0x3f000000);
    }
    return sign | static_cast<std::uint16_t>((magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13);
}

}  // namespace thew
