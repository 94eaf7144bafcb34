// The rows of fp16 on the trunk.
#include "kernels/conv/entry.hpp"
#include "kernels/matmul/half_tiles.hpp"

namespace thew {
namespace {

constexpr MatmulEntry kMatmul[] = {trunk_entry<Fp16Tiles>("matmul", "packed", DType::fp16, kFp16Sum)};
constexpr ConvEntry kConv[] = {
    implicit_entry<Fp16Tiles>(DType::fp16, kFp16Sum),
    pointwise_entry<Fp16Tiles>(DType::fp16, kFp16Sum),
};

}  // namespace

namespace THEW_ISA {
extern const Table<MatmulEntry> matmul_fp16;
const Table<MatmulEntry> matmul_fp16{kMatmul, sizeof(kMatmul) / sizeof(kMatmul[0])};
extern const Table<ConvEntry> conv_fp16;
const Table<ConvEntry> conv_fp16{kConv, sizeof(kConv) / sizeof(kConv[0])};
}  // namespace THEW_ISA

}  // namespace thew
