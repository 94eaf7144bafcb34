// ARMv8.2 NEON with SDOT and UDOT: sums of four products of bytes.
#pragma once

#include "simd/isa/neon.hpp"
