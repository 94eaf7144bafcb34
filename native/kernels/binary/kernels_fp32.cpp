// The binary rows of fp32, and of fp16 and bf16, which compute with its kernels.
#include "kernels/binary/strided.hpp"
#include "kernels/elementwise_half.hpp"

namespace thew {
namespace {
constexpr OpEntry kEntries[] = {
    binary_entry<BinaryOps<float>>(DType::fp32),
    half_entry<Fp16, BinaryOps<float>, 2>("binary", DType::fp16),
    half_entry<Bf16, BinaryOps<float>, 2>("binary", DType::bf16),
};
}
namespace THEW_ISA {
extern const Table<OpEntry> binary_fp32{kEntries, 3};
}
}  // namespace thew
