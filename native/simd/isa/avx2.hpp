// AVX2 with FMA and F16C: 16 registers of 32 bytes.
#pragma once

#include <immintrin.h>

#include "kernels/row.hpp"

namespace thew {
namespace {

inline constexpr Isa kIsa = Isa::avx2;
inline constexpr std::size_t kVectorBytes = 32;
inline constexpr int kVectorRegisters = 16;

}  // namespace
}  // namespace thew

#include "simd/isa/partial.hpp"
