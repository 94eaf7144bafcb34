// What kernel units and the rest share of a kernel's identity. Plain data only (see base/tensor.hpp).
#pragma once

#include "base/tensor.hpp"
#include "cpu/isa.hpp"

namespace thew {

struct Row {
    const char* family;     // the folder: "matmul", "conv", …
    const char* algorithm;  // "packed", "implicit", "depthwise", "strided", …
    DType a, b, acc;        // element types of the two operands and of the sums; equal where there is but one
    int mr, nr, kr;         // register tile; 0 where there is none
    Isa isa;
};

}  // namespace thew
