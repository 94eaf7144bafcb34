// The binary row of fp64.
#include "kernels/binary/strided.hpp"

namespace thew {
namespace {
constexpr OpEntry kEntries[] = {binary_entry<BinaryOps<double>>(DType::fp64)};
}
namespace THEW_ISA {
extern const Table<OpEntry> binary_fp64{kEntries, 1};
}
}  // namespace thew
