// The register tile of each ISA: as many accumulators as leave room for rows of b's panel and for elements of a.
#pragma once

#include "kernels/matmul/tile.hpp"

namespace thew {
namespace {

template <class T>
struct ChooseTile {
    static constexpr int kRows = kVectorRegisters == 32 ? 14 : kVectorBytes == 32 ? 6 : 4;
    using Tiles = TileSet<T, kRows, 2, Broadcast>;
};
#if defined(__aarch64__)
template <class T>
struct ChooseLanesTile {
    static constexpr int kRows = 3 * kLanes<T>, kVectors = 24 / kRows;  // 24 accumulators, 3 vectors of a
    using Tiles = TileSet<T, kRows, kVectors, Lanes<kRows>>;
};
template <class T>
using TilesOf = typename ChooseLanesTile<T>::Tiles;
#else
template <class T>
using TilesOf = typename ChooseTile<T>::Tiles;
#endif

template <class T>
inline constexpr int kDepthMultiple = kLaneMultiply ? kLanes<T> : 1;

}  // namespace
}  // namespace thew
