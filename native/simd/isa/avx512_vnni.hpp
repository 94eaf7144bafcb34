// AVX-512 with VNNI: sums of four products of bytes.
#pragma once

#include "simd/isa/avx512.hpp"
