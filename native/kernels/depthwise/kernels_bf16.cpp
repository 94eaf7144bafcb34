// The depthwise rows of bf16. AMX has nothing for them: there the row of the ISA below serves.
#include "kernels/depthwise/choose.hpp"

namespace thew {
namespace {

#if defined(__AMX_BF16__)
const Table<DepthwiseEntry> kTable{nullptr, 0};
#else
const DepthwiseEntry kEntries[] = {real_entry<Bf16>(DType::bf16, DType::fp32)};
const Table<DepthwiseEntry> kTable{kEntries, 1};
#endif

}  // namespace

namespace THEW_ISA {
extern const Table<DepthwiseEntry> depthwise_bf16;
const Table<DepthwiseEntry> depthwise_bf16 = kTable;
}  // namespace THEW_ISA

}  // namespace thew
