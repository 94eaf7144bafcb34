// move: what changes where elements lie and not what they are; kernels go by element size, so every dtype has a row.
//
//   copy(x)    out[i] = x[i]: same logical shape, or x broadcasts; any strides on both sides, negative ones too
//   fill()     out[i] = attribute `value` (a number, converted to the output's type)
//   gather(x, indices)  out[.., i, ..] = x[.., indices[i], ..] along attribute `axis`; int32 or int64, negative ones
//              count from the end; run() throws Error for one out of range
//   pad(x, pads, value?, axes?)  modes edge, reflect, wrap; constant pads, negative ones crop
//              (constant mode is a fill and a copy)
//   resize(x, region?, scales?, sizes?)  nearest for every dtype; linear and cubic, also antialiased, for fp32 and
//   fp64;
//              all of ONNX's coordinate and rounding rules save tf_crop_and_resize; constant scales or sizes
//
// No alignment beyond the element's. The output overlaps no input.
//
// Fast paths of copy: rows that are consecutive on both sides; and a pair of dimensions that trade places (layout
// conversions, transposes), moved as square tiles through registers. The others run one axis at a time, fast where the
// dimension that is innermost in memory is not the axis.
#pragma once

#include "kernels/leaf.hpp"
#include "kernels/table.hpp"

namespace thew {

// out[i * out_stride + j * size] = in[j * in_stride + i * size] for i in [0, n), j in [0, m); strides in bytes.
struct TransposeBlock {
    const std::byte* in;
    std::byte* out;
    std::int64_t n, m, in_stride, out_stride;
};

// Along one axis: out[j] = sum over t of weight[j, t] · in[index[j, t]]; without weights there is one tap. The leaf's
// operands (out, in) stand at element 0 of the axis and have any column stride.
struct Sampling {
    const std::int64_t* index;  // extent × taps
    const void* weight;         // the same, of the element type
    std::int64_t extent, taps;
    std::int64_t out_bytes, in_bytes;  // strides of the axis
};

struct MoveEntry {
    Row row;
    LeafKernel copy;
    void (*transpose)(const TransposeBlock& block);
    LeafKernel pick;      // parameters: Sampling, without weights
    LeafKernel weighted;  // parameters: Sampling; fp32 and fp64 only, else null
};

THEW_DECLARE_TABLES(MoveEntry, move_table)

}  // namespace thew
