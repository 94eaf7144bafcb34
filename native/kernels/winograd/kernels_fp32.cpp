// The fp32 rows of winograd.
#include "kernels/winograd/entry.hpp"

namespace thew {
namespace {

constexpr WinogradEntry kEntries[] = {
    winograd_entry<float, 2, 3>("2x2_3x3", DType::fp32), winograd_entry<float, 4, 3>("4x4_3x3", DType::fp32),
    winograd_entry<float, 6, 3>("6x6_3x3", DType::fp32), winograd_entry<float, 2, 5>("2x2_5x5", DType::fp32),
    winograd_entry<float, 3, 2>("3x3_2x2", DType::fp32), winograd_entry<float, 5, 2>("5x5_2x2", DType::fp32),
};

}  // namespace

namespace THEW_ISA {
extern const Table<WinogradEntry> winograd_fp32;
const Table<WinogradEntry> winograd_fp32{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
