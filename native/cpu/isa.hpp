// The instruction sets that kernels are compiled for, as listed in isas.cmake. Plain data: kernel units include it (see
// base/tensor.hpp).
#pragma once

#include <cstdint>

#include "cpu/isa_list.hpp"

namespace thew {

#define THEW_ISA_NAME(isa, ...) isa,
enum class Isa : std::uint8_t { THEW_EACH_ISA(THEW_ISA_NAME) };  // in rising order within an architecture
#undef THEW_ISA_NAME

}  // namespace thew
