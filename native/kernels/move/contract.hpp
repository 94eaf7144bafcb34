// move: what changes where elements lie and not what they are; kernels go by element size, so every dtype has a row.
//
//   copy(x)  out[i] = x[i]: same logical shape, or x broadcasts; any strides on both sides, negative ones too
//   fill()   out[i] = attribute `value` (a number, converted to the output's type)
//
// No alignment beyond the element's. The output overlaps no input.
//
// Fast paths of copy: rows that are consecutive on both sides; and a pair of dimensions that trade places (layout
// conversions, transposes), moved as square tiles through registers.
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

struct MoveEntry {
    Row row;
    LeafKernel copy;
    void (*transpose)(const TransposeBlock& block);
};

THEW_DECLARE_TABLES(MoveEntry, move_table)

}  // namespace thew
