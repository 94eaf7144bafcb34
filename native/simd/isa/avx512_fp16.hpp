// AVX-512 with VNNI, BF16 and FP16 arithmetic.
#pragma once

#include "simd/isa/avx512_bf16.hpp"
