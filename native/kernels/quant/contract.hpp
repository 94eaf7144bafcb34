// quant, per tensor or per axis (scale and zero point scalars, or vectors along attribute `axis`, 1 unless given):
//   quantize_linear(x, scale, zero_point?)    out[i] = saturate(round(x[i] / scale) + zero_point), ties to even
//   dequantize_linear(x, scale, zero_point?)  out[i] = (x[i] - zero_point) · scale
//
// pairs, of bytes:
//   qlinear_add(a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero), of operands counted in steps of y, each
//   product
//     and the sum rounded to fp32
//     out[i] = clamp(round((a[i] − a_zero) · a_ratio + (b[i] − b_zero) · b_ratio) + y_zero, low, high)
//   qlinear_mul(a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero)
//     out[i] = clamp(round((a[i] − a_zero) · (b[i] − b_zero) · a_ratio) + y_zero, low, high)
//
// table, of bytes:
//   lookup(x, table)                          out[i] = table[x[i]], x's bits as a number without a sign
//
// An absent zero point is 0. NaN quantises to the lowest value. Any strides; no alignment beyond the element's; the
// output of the first two overlaps no input; the others' may be exactly an operand. A row is x's type (fp32 quantises
// to uint8, int8, uint16, int16; those and int32 dequantise); its kernels are named by the output's.
#pragma once

#include "kernels/leaf.hpp"
#include "kernels/table.hpp"

namespace thew {

// Kernels of `pairs` read these; their operands are (out, a, b).
struct PairSteps {
    float a_ratio, b_ratio;  // a's and b's scale over y's; of products, theirs over y's, and 1
    std::int32_t a_zero, b_zero, y_zero, low, high;
};

// Kernels of `table` read this; their operands are (out, x).
struct TableOfBytes {
    std::uint8_t bytes[256];
};

THEW_DECLARE_TABLES(OpEntry, quant_table)
THEW_DECLARE_TABLES(OpEntry, quant_bytes)

}  // namespace thew
