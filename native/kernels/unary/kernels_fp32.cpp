// The unary row of fp32.
#include "kernels/unary/strided.hpp"

namespace thew {
namespace {
constexpr OpEntry kEntries[] = {unary_entry<UnaryOps<float>>(DType::fp32)};
}
namespace THEW_ISA {
extern const Table<OpEntry> unary_fp32{kEntries, 1};
}
}  // namespace thew
