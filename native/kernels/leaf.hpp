// What the strided loop hands an elementwise kernel: a rectangle of rows, and how each operand walks it. Plain data,
// shared by kernel units and by the code that is compiled once.
//
// Contract of every LeafKernel: operand 0 is the output, its rows have consecutive elements; an input has consecutive
// elements too (step 1) or one element for a whole row (step 0). No alignment beyond the element's is assumed. The
// output may be exactly an input (same address and strides): a kernel reads what it needs of a row before it stores
// there.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/row.hpp"

namespace thew {

inline constexpr int kMaxOperands = 4;

struct Leaf {
    std::int64_t rows, cols;
    std::byte* data[kMaxOperands];         // first element of the first row
    std::int64_t row_bytes[kMaxOperands];  // from a row to the next
    std::int64_t step[kMaxOperands];       // elements from a column to the next: 1 or 0
    std::int64_t col_bytes[kMaxOperands];  // the same in bytes; anything where the loop hands operands as they are
};

using LeafKernel = void (*)(const Leaf& leaf, const void* parameters);

// An entry of an elementwise family's table: a row for an element type, with the kernel of each op on it.
struct OpKernel {
    const char* op;
    LeafKernel run;
};
struct OpEntry {
    Row row;
    const OpKernel* kernels;
    int count;
};

}  // namespace thew
