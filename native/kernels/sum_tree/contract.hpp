// A sum tree over priorities, for drawing in proportion to them (Schaul, Quan, Antonoglou and Silver, "Prioritized
// experience replay", 2016).
//
//   tree: fp64 of 2·leaves numbers; leaf s is tree[leaves + s], node i < leaves is tree[2i] + tree[2i + 1], the root is
//         tree[1], tree[0] is not used. Any number of leaves will do: every node's ancestors end at the root.
//
//   sample_sum_tree(tree, draws) -> slots, shares    draws[i] within [0, 1) falls into the i-th of equal parts of the
//         root's sum: slots[i] is the leaf there, shares[i] its share of the sum. A leaf of 0 is not drawn while
//         another is above 0.
//   update_sum_tree(tree, slots, values) -> tree     leaf slots[i] becomes values[i], in order; sums are made anew from
//         their two terms, so that no error grows.
//
// All are dense; slots lie within the tree (step.cpp checks). The next tree may be exactly the tree.
#pragma once

#include "kernels/table.hpp"

namespace thew {

struct SumTreeEntry {
    Row row;
    void (*sample)(const double* tree, std::int64_t leaves, const double* draws, std::int64_t count,
                   std::int64_t* slots, double* shares);
    void (*update)(double* tree, std::int64_t leaves, const std::int64_t* slots, const double* values,
                   std::int64_t count);
};

THEW_DECLARE_TABLES(SumTreeEntry, sum_tree_table)

}  // namespace thew
