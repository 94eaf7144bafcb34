// The register tile of each ISA for 16-bit elements: as for fp32 (tiles.hpp), but finished by rows.
#pragma once

#include "kernels/matmul/by_rows.hpp"
#include "kernels/matmul/tiles.hpp"

namespace thew {
namespace {

#if defined(__aarch64__)
template <class N>
struct ChooseHalfTile {
    static constexpr int kRows = 3 * static_cast<int>(kVectorBytes / sizeof(typename N::A)), kVectors = 24 / kRows;
    using Tiles = TileSet<N, kRows, kVectors, ByRows<Lanes<kRows>>>;
};
template <class N>
using HalfTilesOf = typename ChooseHalfTile<N>::Tiles;
#else
template <class N>
using HalfTilesOf = TileSet<N, ChooseTile<Plain<float>>::kRows, 2, ByRows<Broadcast>>;
#endif

}  // namespace
}  // namespace thew
