// AVX2 with AVX-VNNI: sums of four products of bytes, in 32-byte registers.
#pragma once

#include "simd/isa/avx2.hpp"
