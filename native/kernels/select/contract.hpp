// select: where(condition, a, b): out[i] = condition[i] ? a[i] : b[i], the three broadcast to the output as NumPy does;
// the condition is bool (any byte but 0 is true), a, b and the output are of one type. Kernels go by element size. Any
// strides; no alignment beyond the element's. A row is the condition's type; its kernels are named by the others'. The
// output may be exactly a or b (same address and strides), and overlaps no input otherwise.
#pragma once

#include "kernels/leaf.hpp"
#include "kernels/table.hpp"

namespace thew {

THEW_DECLARE_TABLES(OpEntry, select_table)

}  // namespace thew
