// ARMv8.2 NEON with fp16 arithmetic (and dot products).
#pragma once

#include "simd/isa/neon_dotprod.hpp"
