// The cast rows of floating-point sources.
#include "kernels/cast/strided.hpp"

namespace thew {
namespace {
constexpr OpEntry kEntries[] = {
    cast_entry<double>(DType::fp64),
    cast_entry<float>(DType::fp32),
    cast_entry<Fp16>(DType::fp16),
    cast_entry<Bf16>(DType::bf16),
};
}
namespace THEW_ISA {
extern const Table<OpEntry> cast_float{kEntries, sizeof(kEntries) / sizeof(OpEntry)};
}
}  // namespace thew
