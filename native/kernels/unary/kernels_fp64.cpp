// The unary row of fp64.
#include "kernels/unary/strided.hpp"

namespace thew {
namespace {
constexpr OpEntry kEntries[] = {unary_entry<UnaryOps<double>>(DType::fp64)};
}
namespace THEW_ISA {
extern const Table<OpEntry> unary_fp64{kEntries, 1};
}
}  // namespace thew
