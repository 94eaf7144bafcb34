// The trunk's rows: one register tile a type on each ISA.
#include "kernels/matmul/driver.hpp"
#include "kernels/matmul/pack_b.hpp"
#include "kernels/matmul/tiles.hpp"

namespace thew {
namespace {

template <class T, class Tiles>
constexpr MatmulEntry packed(DType dtype) {
    return {{"matmul", "packed", dtype, dtype, dtype, Tiles::kRows, Tiles::kPanel, 1, kIsa},
            kLanes<T>,
            kDepthMultiple<T>,
            kColumnPitch<T, Tiles>,
            !kLaneMultiply,
            pack_b<T, Tiles::kPanel, kDepthMultiple<T>>,
            run_strided<T, Tiles>};
}

constexpr MatmulEntry kEntries[] = {packed<float, TilesOf<float>>(DType::fp32),
                                    packed<double, TilesOf<double>>(DType::fp64)};

}  // namespace

namespace THEW_ISA {
extern const Table<MatmulEntry> matmul_table;
const Table<MatmulEntry> matmul_table{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
