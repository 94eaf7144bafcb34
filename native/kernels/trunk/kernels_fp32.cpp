// The rows of fp32 on the trunk.
#include "kernels/trunk/floats.hpp"

namespace thew {
namespace {

constexpr auto& kMatmulRows = kMatmul<float, DType::fp32>;
constexpr auto& kConvRows = kConv<float, DType::fp32>;

}  // namespace

namespace THEW_ISA {
extern const Table<MatmulEntry> matmul_fp32;
const Table<MatmulEntry> matmul_fp32{kMatmulRows, sizeof(kMatmulRows) / sizeof(kMatmulRows[0])};
extern const Table<ConvEntry> conv_fp32;
const Table<ConvEntry> conv_fp32{kConvRows, sizeof(kConvRows) / sizeof(kConvRows[0])};
}  // namespace THEW_ISA

}  // namespace thew
