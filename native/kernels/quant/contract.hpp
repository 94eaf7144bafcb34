// quant, per tensor or per axis (scale and zero point scalars, or vectors along attribute `axis`, 1 unless given):
//   quantize_linear(x, scale, zero_point?)    out[i] = saturate(round(x[i] / scale) + zero_point), ties to even
//   dequantize_linear(x, scale, zero_point?)  out[i] = (x[i] - zero_point) · scale
//
// An absent zero point is 0. NaN quantises to the lowest value. Any strides; no alignment beyond the element's; the
// output overlaps no input. A row is x's type (fp32 quantises to uint8, int8, uint16, int16; those and int32
// dequantise); its kernels are named by the output's.
#pragma once

#include "kernels/leaf.hpp"
#include "kernels/table.hpp"

namespace thew {

THEW_DECLARE_TABLES(OpEntry, quant_table)

}  // namespace thew
