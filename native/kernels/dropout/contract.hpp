// dropout_training(x, seed, offset): y[i] = 0 where the word drawn for element i is below ratio · 2³², else x[i] / (1 -
// ratio).
//
// Words come from Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011):
// element i of the tensor in C order takes word i mod 4 of the block with counter (i / 4 low, i / 4 high, offset low,
// stream) under the key (seed low, seed high). A mask so depends on nothing but those numbers, and is never stored.
//
// x and y have any strides; y may be exactly x, and overlaps nothing else.
#pragma once

#include "base/workers.hpp"
#include "kernels/axes.hpp"
#include "kernels/table.hpp"

namespace thew {

struct DropoutArgs {
    std::int64_t rows, columns;  // in C order; a row's elements are `x_step` and `y_step` apart
    Axes of_rows;                // strides of x and y
    std::int64_t x_step, y_step;
    std::uint32_t key[2], offset, stream;
    std::uint64_t below;  // words under it are dropped
    double factor;
};

struct DropoutEntry {
    Row row;
    void (*run)(const DropoutArgs& args, const void* x, void* y, const Workers& workers);
};

THEW_DECLARE_TABLES(DropoutEntry, dropout_table)

}  // namespace thew
