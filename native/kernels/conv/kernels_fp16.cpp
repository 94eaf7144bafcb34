// The rows of conv of fp16.
#include "kernels/conv/entry.hpp"
#include "kernels/matmul/half_tiles.hpp"

namespace thew {
namespace {

constexpr ConvEntry kEntries[] = {
    implicit_entry<Fp16Tiles>(DType::fp16, kFp16Sum),
    pointwise_entry<Fp16Tiles>(DType::fp16, kFp16Sum),
};

}  // namespace

namespace THEW_ISA {
extern const Table<ConvEntry> conv_fp16;
const Table<ConvEntry> conv_fp16{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
