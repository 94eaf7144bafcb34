// The rows of conv: the trunk's tiles under packers that gather patches.
#include "kernels/conv/gather.hpp"
#include "kernels/matmul/pack_b.hpp"
#include "kernels/matmul/tiles.hpp"

namespace thew {
namespace {

template <class T, class Tiles>
constexpr ConvEntry entry(const char* algorithm, DType dtype, bool pointwise) {
    MatmulEntry trunk{{"conv", algorithm, dtype, dtype, dtype, Tiles::kRows, Tiles::kPanel, 1, kIsa},
                      kLanes<T>,
                      kDepthMultiple<T>,
                      kColumnPitch<T, Tiles>,
                      pointwise && !kLaneMultiply,
                      pack_b<T, Tiles::kPanel, kDepthMultiple<T>>,
                      pointwise ? run_strided<T, Tiles> : nullptr};
    return {trunk, pointwise ? nullptr : run_patches<T, Tiles>};
}

constexpr ConvEntry kEntries[] = {
    entry<float, TilesOf<float>>("implicit", DType::fp32, false),
    entry<float, TilesOf<float>>("pointwise", DType::fp32, true),
    entry<double, TilesOf<double>>("implicit", DType::fp64, false),
    entry<double, TilesOf<double>>("pointwise", DType::fp64, true),
};

}  // namespace

namespace THEW_ISA {
extern const Table<ConvEntry> conv_table;
const Table<ConvEntry> conv_table{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
