// ARMv8.0-A NEON, the Arm floor: 32 registers of 16 bytes, fused multiply-add, by-lane forms.
#pragma once

#include <arm_neon.h>

#include "kernels/row.hpp"

namespace thew {
namespace {

inline constexpr Isa kIsa = Isa::neon;
inline constexpr std::size_t kVectorBytes = 16;
inline constexpr int kVectorRegisters = 32;

}  // namespace
}  // namespace thew

#include "simd/isa/partial.hpp"
