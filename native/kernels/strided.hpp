// N-dimensional strided iteration, shared by the families. A loop is planned once from the views that take part
// (operand 0 is the output): inputs are broadcast to it as NumPy does, dimensions are sorted by the output's strides,
// extents of 1 drop out, and neighbours that every operand walks as one are merged. What is left runs as rectangles of
// rows × cols, cut into tiles for the workers.
#pragma once

#include <span>
#include <string>

#include "base/tensor.hpp"
#include "base/workers.hpp"
#include "kernels/leaf.hpp"

namespace thew {

struct StridedLoop {
    int operands;
    int rank;  // at least 2; the last dimension is the columns, the one before it the rows
    std::int64_t extent[kMaxRank + 1];
    std::int64_t stride[kMaxOperands][kMaxRank + 1];  // bytes
    std::int64_t bytes[kMaxOperands];                 // of one element
    std::int64_t elements;                            // of the output
    std::int64_t work = 1;  // bytes moved for an element, over its size: tiles shrink as it grows
    bool as_is = false;     // the kernel takes any column stride (Leaf::col_bytes), so nothing is buffered
};

// `input` seen with the output's shape: missing leading dimensions and extents of 1 get stride 0.
// Throws PlanError, its message after `where` ("add 'block1/add': "), where the shapes do not broadcast.
Tensor broadcast_view(const Tensor& input, const Tensor& output, const std::string& where);

// The loop over `views`, the output first; each is broadcast to it.
StridedLoop plan_loop(std::span<const Tensor> views, const std::string& where);

// Calls `kernel` on rectangles that cover the loop, each element once. `data` holds one address an operand. An operand
// whose columns are neither consecutive nor constant goes through a buffer, a block at a time.
void run_loop(const StridedLoop& loop, std::byte* const* data, const Workers& workers, LeafKernel kernel,
              const void* parameters);

std::int64_t element_count(const Tensor& tensor);
bool same_shape(const Tensor& a, const Tensor& b);
std::string shape_text(const Tensor& tensor);  // "(1, 3, 224, 224)"

}  // namespace thew
