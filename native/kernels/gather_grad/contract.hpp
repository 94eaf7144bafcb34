// gather_grad(dy, indices), the gradient of a gather along an axis (of an embedding, axis 0):
//
//   dx[o, r, i] = Σ over j with indices[j] = r of dy[o, j, i]
//
// o: dimensions before the axis, i: those behind it. dx and dy are dense, in C order; dx overlaps no input. Indices are
// int32 or int64 in any strides, negative ones count from the end; run() throws Error for one out of range. Sums run in
// the order of j, whatever the number of workers: |error| <= (terms + 1)·eps·Σ|terms|.
#pragma once

#include "base/tensor.hpp"
#include "base/workers.hpp"
#include "kernels/table.hpp"

namespace thew {

struct GatherGradArgs {
    std::int64_t outer, extent, count, inner;
    const std::int64_t* index;  // in [0, extent)
};

struct GatherGradEntry {
    Row row;
    void (*run)(const GatherGradArgs& args, const void* dy, void* dx, const Workers& workers);
};

THEW_DECLARE_TABLES(GatherGradEntry, gather_grad_table)

}  // namespace thew
