// binary: out[i] = op(a[i], b[i]) with a and b broadcast to the output as NumPy does. Any strides on all three sides;
// no alignment beyond the element's. The output may be exactly one input that has its shape (same address and strides),
// and overlaps no input otherwise; a comparison's output, of other elements than its operands, never does. Comparisons
// and logic give bool; the others the operands' type.
//
// fp16 and bf16 are computed in fp32 and rounded once.
//
// `add`, `sub`, `mul`, `div` of floating-point numbers take an epilogue (attributes `activation`,
// `activation_parameters`): out = activation(op(a, b)). Fast where the innermost dimension of every operand is
// consecutive or constant: equal shapes, a scalar, a vector per channel (channels last or channels first).
//
// pow of floating-point numbers also takes one exponent of another floating-point type, int64 or int32.
//
// Integers: div truncates toward zero, and x / 0 is 0; mod has the divisor's
// sign (fmod = 0, as np.mod) or the dividend's (fmod = 1, as np.fmod), and 0 for a divisor of 0.
#pragma once

#include "kernels/activation.hpp"
#include "kernels/leaf.hpp"
#include "kernels/table.hpp"

namespace thew {

struct BinaryParameters {
    Epilogue epilogue;
};

THEW_DECLARE_TABLES(OpEntry, binary_fp32)
THEW_DECLARE_TABLES(OpEntry, binary_fp64)
THEW_DECLARE_TABLES(OpEntry, binary_integer)

}  // namespace thew
