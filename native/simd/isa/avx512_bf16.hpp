// AVX-512 with VNNI and BF16: sums of two products of bfloat16.
#pragma once

#include "simd/isa/avx512_vnni.hpp"
