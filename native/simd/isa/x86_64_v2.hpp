// x86-64-v2 (up to SSE4.2), the x86 floor: 16 registers of 16 bytes, no fused multiply-add.
#pragma once

#include <nmmintrin.h>

#include "kernels/row.hpp"

namespace thew {
namespace {

inline constexpr Isa kIsa = Isa::x86_64_v2;
inline constexpr std::size_t kVectorBytes = 16;
inline constexpr int kVectorRegisters = 16;

}  // namespace
}  // namespace thew

#include "simd/isa/partial.hpp"
