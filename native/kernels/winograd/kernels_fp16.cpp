// The rows of winograd in fp16 arithmetic: on Arm's cores that have it.
#include "kernels/winograd/entry.hpp"

namespace thew {
namespace {

#if defined(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC)
constexpr WinogradEntry kEntries[] = {
    winograd_entry<Half, 2, 3>("2x2_3x3", DType::fp16),
    winograd_entry<Half, 4, 3>("4x4_3x3", DType::fp16),
};
constexpr Table<WinogradEntry> kTable{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
#else
constexpr Table<WinogradEntry> kTable{nullptr, 0};
#endif

}  // namespace

namespace THEW_ISA {
extern const Table<WinogradEntry> winograd_fp16;
const Table<WinogradEntry> winograd_fp16 = kTable;
}  // namespace THEW_ISA

}  // namespace thew
