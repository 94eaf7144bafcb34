// The trunk's rows of fp32 and fp64: one register tile a type on each ISA.
#include "kernels/matmul/tiles.hpp"

namespace thew {
namespace {

constexpr MatmulEntry kEntries[] = {
    trunk_entry<TilesOf<Plain<float>>>("matmul", "packed", DType::fp32, DType::fp32),
    trunk_entry<TilesOf<Plain<double>>>("matmul", "packed", DType::fp64, DType::fp64),
};

}  // namespace

namespace THEW_ISA {
extern const Table<MatmulEntry> matmul_float;
const Table<MatmulEntry> matmul_float{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
