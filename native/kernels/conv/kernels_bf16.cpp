// The rows of conv of bf16: by AMX, or pairs or fours of k where the ISA sums their products, else widened
// to fp32.
#include "kernels/conv/entry.hpp"
#include "kernels/matmul/half_tiles.hpp"

namespace thew {
namespace {

#if defined(__AMX_BF16__)
using Tiles = MatrixTiles;
#elif defined(__AVX512BF16__)
using Tiles = HalfTilesOf<BfloatPairs>;
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
using Tiles = TileSet<BfloatFours, Squares::kRows, Squares::kVectors, Squares>;
#else
using Tiles = HalfTilesOf<Widened<Bf16>>;
#endif

constexpr ConvEntry kEntries[] = {
    implicit_entry<Tiles>(DType::bf16, DType::fp32),
    pointwise_entry<Tiles>(DType::bf16, DType::fp32),
};

}  // namespace

namespace THEW_ISA {
extern const Table<ConvEntry> conv_bf16;
const Table<ConvEntry> conv_bf16{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
