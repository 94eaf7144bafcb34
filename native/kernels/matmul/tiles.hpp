// The register tile of each ISA: as many accumulators as leave room for a row of b's panel and one element of a.
#pragma once

#include "kernels/matmul/tile.hpp"

namespace thew {
namespace {

constexpr int kTileRows = kVectorRegisters == 32 ? 14 : kVectorBytes == 32 ? 6 : 4;
constexpr int kTileVectors = 2;

template <class T>
using TilesOf = TileSet<T, kTileRows, kTileVectors>;

}  // namespace
}  // namespace thew
