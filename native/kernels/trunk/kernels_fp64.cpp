// The rows of fp64 on the trunk.
#include "kernels/trunk/floats.hpp"

namespace thew {
namespace {

constexpr auto& kMatmulRows = kMatmul<double, DType::fp64>;
constexpr auto& kConvRows = kConv<double, DType::fp64>;

}  // namespace

namespace THEW_ISA {
extern const Table<MatmulEntry> matmul_fp64;
const Table<MatmulEntry> matmul_fp64{kMatmulRows, sizeof(kMatmulRows) / sizeof(kMatmulRows[0])};
extern const Table<ConvEntry> conv_fp64;
const Table<ConvEntry> conv_fp64{kConvRows, sizeof(kConvRows) / sizeof(kConvRows[0])};
}  // namespace THEW_ISA

}  // namespace thew
