// The rows of winograd on memory of 16 bits.
#include "kernels/winograd/entry.hpp"

namespace thew {
namespace {

constexpr WinogradEntry kEntries[] = {
    winograd_entry<Bf16, 2, 3>("2x2_3x3", DType::bf16),
    winograd_entry<Bf16, 4, 3>("4x4_3x3", DType::bf16),
    winograd_entry<Fp16, 2, 3>("2x2_3x3", DType::fp16),
    winograd_entry<Fp16, 4, 3>("4x4_3x3", DType::fp16),
};

}  // namespace

namespace THEW_ISA {
extern const Table<WinogradEntry> winograd_half;
const Table<WinogradEntry> winograd_half{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
