// The binary row of fp32.
#include "kernels/binary/strided.hpp"

namespace thew {
namespace {
constexpr OpEntry kEntries[] = {binary_entry<BinaryOps<float>>(DType::fp32)};
}
namespace THEW_ISA {
extern const Table<OpEntry> binary_fp32{kEntries, 1};
}
}  // namespace thew
