// unary: out[i] = op(x[i]), out as large as x (x broadcasts). Any strides on both sides; no alignment beyond the
// element's. The output may be exactly the input (same address and strides), and overlaps no input otherwise. Results
// are of the input's type. fp32 and fp64 have every op, fp16 and bf16 fp32's, rounded once; integers and bool have
// those that make sense.
//
// Accuracy, in units of the last place of the result: as simd/math.hpp; gelu, mish and silu round their factors, so
// near their zero crossings (and gelu below -2) the error is a few ulp of the factors: bounded by 4 eps · max(|x|, 1).
#pragma once

#include "kernels/leaf.hpp"
#include "kernels/table.hpp"

namespace thew {

struct UnaryParameters {
    double p[2];                            // the op's attributes, in ONNX's order
    alignas(8) unsigned char bounds[2][8];  // clip: lower and upper, of the type computed in
};

THEW_DECLARE_TABLES(OpEntry, unary_fp32)
THEW_DECLARE_TABLES(OpEntry, unary_fp64)
THEW_DECLARE_TABLES(OpEntry, unary_integer)

}  // namespace thew
