// The register tile of each ISA: as many accumulators as leave room for rows of b's panel and for elements of a.
#pragma once

#include "kernels/matmul/driver.hpp"
#if defined(__AMX_BF16__)
#include "kernels/matmul/matrices.hpp"
#endif
#include "kernels/matmul/pack_b.hpp"

namespace thew {
namespace {

template <class N>
struct ChooseTile {
    static constexpr int kRows = kVectorRegisters == 32 ? 14 : kVectorBytes == 32 ? 6 : 4;
    using Tiles = TileSet<N, kRows, 2, Broadcast>;
};
#if defined(__aarch64__)
template <class N>
struct ChooseLanesTile {
    static constexpr int kLane = kVectorBytes / sizeof(typename N::A);
    static constexpr int kRows = 3 * kLane, kVectors = 24 / kRows;  // 24 accumulators, 3 vectors of a
    using Tiles = TileSet<N, kRows, kVectors, Lanes<kRows>>;
};
template <class N>
using TilesOf = typename ChooseLanesTile<N>::Tiles;
#else
template <class N>
using TilesOf = typename ChooseTile<N>::Tiles;
#endif

#if defined(__AMX_BF16__)
using MatrixTiles = TileSet<BfloatPairs, Matrices::kRows, Matrices::kVectors, Matrices>;
#endif

// The trunk's part of a row: what a family adds is the name and the way to a.
template <class Tiles>
constexpr MatmulEntry trunk_entry(const char* family, const char* algorithm, DType memory, DType sum) {
    using N = typename Tiles::Numbers;
    constexpr int kDepth = Tiles::Multiply::kPanels ? N::kGroup : Tiles::kDepthMultiple;
    constexpr bool kAsInMemory = std::is_same_v<typename N::A, typename N::Memory>;
    return {{family, algorithm, memory, memory, sum, Tiles::kRows, Tiles::kPanel, kDepth, kIsa},
            N::kColumns,
            Tiles::kDepthMultiple,
            Tiles::Multiply::kTakesColumns ? kColumnPitch<Tiles> : 0,
            sizeof(typename N::A),
            sizeof(typename N::Memory) < sizeof(typename N::Sum),
            kAsInMemory && !Tiles::Multiply::kPanels,
            pack_b<Tiles>,
            run_strided<Tiles>};
}

}  // namespace
}  // namespace thew
