// The rows of conv of bf16.
#include "kernels/conv/entry.hpp"
#include "kernels/matmul/half_tiles.hpp"

namespace thew {
namespace {

constexpr ConvEntry kEntries[] = {
    implicit_entry<Bf16Tiles>(DType::bf16, DType::fp32),
    pointwise_entry<Bf16Tiles>(DType::bf16, DType::fp32),
};

}  // namespace

namespace THEW_ISA {
extern const Table<ConvEntry> conv_bf16;
const Table<ConvEntry> conv_bf16{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
