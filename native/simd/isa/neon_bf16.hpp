// ARMv8.2 NEON with bfloat16 products (and fp16 arithmetic, i8mm).
#pragma once

#include "simd/isa/neon_fp16.hpp"
#include "simd/isa/neon_i8mm.hpp"
