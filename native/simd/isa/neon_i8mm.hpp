// ARMv8.2 NEON with SMMLA and USMMLA: 2×8 by 8×2 products of bytes.
#pragma once

#include "simd/isa/neon_dotprod.hpp"
