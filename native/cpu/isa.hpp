// The instruction sets that kernels are compiled for. Plain data: kernel units include it (see base/tensor.hpp).
#pragma once

#include <cstdint>

namespace thew {

enum class Isa : std::uint8_t { x86_64_v2, avx2, avx512, neon };  // in rising order within an architecture

}  // namespace thew
