// Builds Axes from views: extents of 1 drop out, axes are sorted by the first tensor's strides, and neighbours that
// both tensors walk as one are merged. Compiled once per family (step.cpp), never in kernel units.
#pragma once

#include <cstdlib>
#include <utility>

#include "kernels/axes.hpp"

namespace thew {

inline void append_axis(Axes& axes, std::int64_t extent, std::int64_t first, std::int64_t second) {
    axes.count *= extent;
    if (extent == 1) return;
    axes.extent[axes.rank] = extent;
    axes.stride[0][axes.rank] = first;
    axes.stride[1][axes.rank] = second;
    ++axes.rank;
}

// Largest stride first, so that the last axis is the one to run along; equal strides keep their order.
inline void sort_axes(Axes& axes) {
    auto swap = [&](int i, int j) {
        std::swap(axes.extent[i], axes.extent[j]);
        std::swap(axes.stride[0][i], axes.stride[0][j]);
        std::swap(axes.stride[1][i], axes.stride[1][j]);
    };
    auto before = [&](int i, int j) {  // whether i must come after j
        const std::int64_t first = std::llabs(axes.stride[0][i]) - std::llabs(axes.stride[0][j]);
        return first != 0 ? first < 0 : std::llabs(axes.stride[1][i]) < std::llabs(axes.stride[1][j]);
    };
    for (int i = 1; i < axes.rank; ++i) {
        for (int j = i; j > 0 && before(j - 1, j); --j) swap(j - 1, j);
    }
}

inline Axes merged(Axes axes) {
    sort_axes(axes);
    Axes result;
    result.count = axes.count;
    for (int i = 0; i < axes.rank; ++i) {
        const int last = result.rank - 1;
        bool joins = last >= 0;
        for (int t = 0; t < 2 && joins; ++t) {
            joins = result.stride[t][last] == axes.extent[i] * axes.stride[t][i];
        }
        const int to = joins ? last : result.rank++;
        result.extent[to] = joins ? result.extent[to] * axes.extent[i] : axes.extent[i];
        result.stride[0][to] = axes.stride[0][i];
        result.stride[1][to] = axes.stride[1][i];
    }
    return result;
}

}  // namespace thew
