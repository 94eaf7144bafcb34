// AMX: tiles of 16 rows of 64 bytes, products of bytes and bfloat16; AVX-512 around them.
#pragma once

#include "simd/isa/avx512_bf16.hpp"
