// The register tile of each ISA for 16-bit elements: as for fp32 (tiles.hpp), but finished by rows; and by what
// arithmetic each type is multiplied there.
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

// bf16: by AMX, or pairs or fours of k where the ISA sums their products, else widened to fp32.
#if defined(__AMX_BF16__)
using Bf16Tiles = MatrixTiles;
#elif defined(__AVX512BF16__)
using Bf16Tiles = HalfTilesOf<BfloatPairs>;
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
using Bf16Tiles = TileSet<BfloatFours, Squares::kRows, Squares::kVectors, Squares>;
#else
using Bf16Tiles = HalfTilesOf<Widened<Bf16>>;
#endif

// fp16: multiplied as it is where the ISA does, else widened to fp32.
#if defined(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC) || defined(__AVX512FP16__)
using Fp16Tiles = HalfTilesOf<HalfProducts>;
inline constexpr DType kFp16Sum = DType::fp16;
#else
using Fp16Tiles = HalfTilesOf<Widened<Fp16>>;
inline constexpr DType kFp16Sum = DType::fp32;
#endif

}  // namespace
}  // namespace thew
