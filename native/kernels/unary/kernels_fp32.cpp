// The unary rows of fp32, and of fp16 and bf16, which compute with its kernels.
#include "kernels/elementwise_half.hpp"
#include "kernels/unary/strided.hpp"

namespace thew {
namespace {
constexpr OpEntry kEntries[] = {
    unary_entry<UnaryOps<float>>(DType::fp32),
    half_entry<Fp16, UnaryOps<float>, 1>("unary", DType::fp16),
    half_entry<Bf16, UnaryOps<float>, 1>("unary", DType::bf16),
};
}
namespace THEW_ISA {
extern const Table<OpEntry> unary_fp32{kEntries, 3};
}
}  // namespace thew
