// cast: out[i] = x[i] as the output's type, for every pair of dtypes. As NumPy for values in the target's range: floats
// to integers truncate, anything but 0 is true, narrower floats round to nearest even (fp64 to fp16 and bf16 in one
// rounding), NaN stays NaN, and integers wrap. A float outside an integer's range gives an unspecified value. x
// broadcasts; any strides; no alignment beyond the element's. The output overlaps no input.
//
// A row is the source's type; its kernels are named by the target's.
#pragma once

#include "kernels/leaf.hpp"
#include "kernels/table.hpp"

namespace thew {

THEW_DECLARE_TABLES(OpEntry, cast_float)
THEW_DECLARE_TABLES(OpEntry, cast_signed)
THEW_DECLARE_TABLES(OpEntry, cast_unsigned)

}  // namespace thew
