// The rows of bf16 on the trunk.
#include "kernels/conv/entry.hpp"
#include "kernels/matmul/half_tiles.hpp"

namespace thew {
namespace {

constexpr MatmulEntry kMatmul[] = {trunk_entry<Bf16Tiles>("matmul", "packed", DType::bf16, DType::fp32)};
constexpr ConvEntry kConv[] = {
    implicit_entry<Bf16Tiles>(DType::bf16, DType::fp32),
    pointwise_entry<Bf16Tiles>(DType::bf16, DType::fp32),
};

}  // namespace

namespace THEW_ISA {
extern const Table<MatmulEntry> matmul_bf16;
const Table<MatmulEntry> matmul_bf16{kMatmul, sizeof(kMatmul) / sizeof(kMatmul[0])};
extern const Table<ConvEntry> conv_bf16;
const Table<ConvEntry> conv_bf16{kConv, sizeof(kConv) / sizeof(kConv[0])};
}  // namespace THEW_ISA

}  // namespace thew
