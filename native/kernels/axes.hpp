// A set of axes walked in step by up to two tensors, and the walk: what families use whose kernels treat some axes
// themselves and repeat over the rest. Plain data (see base/tensor.hpp).
#pragma once

#include "base/tensor.hpp"

namespace thew {

struct Axes {
    int rank = 0;
    std::int64_t count = 1;              // product of the extents
    std::int64_t extent[kMaxRank]{};     // outermost first
    std::int64_t stride[2][kMaxRank]{};  // elements, per tensor
};

namespace {

struct Offsets {
    std::int64_t of[2];
};

// Where position `index` of the walk lies in both tensors.
inline Offsets offsets_at(const Axes& axes, std::int64_t index) {
    Offsets offsets{{0, 0}};
    for (int axis = axes.rank - 1; axis >= 0; --axis) {
        const std::int64_t at = axes.rank == 1 ? index : index % axes.extent[axis];
        index /= axes.extent[axis];
        offsets.of[0] += at * axes.stride[0][axis];
        offsets.of[1] += at * axes.stride[1][axis];
    }
    return offsets;
}

}  // namespace
}  // namespace thew
