// The fp64 rows of winograd.
#include "kernels/winograd/entry.hpp"

namespace thew {
namespace {

constexpr WinogradEntry kEntries[] = {
    winograd_entry<double, 2, 3>("2x2_3x3", DType::fp64), winograd_entry<double, 4, 3>("4x4_3x3", DType::fp64),
    winograd_entry<double, 2, 5>("2x2_5x5", DType::fp64), winograd_entry<double, 3, 2>("3x3_2x2", DType::fp64),
    winograd_entry<double, 5, 2>("5x5_2x2", DType::fp64),
};

}  // namespace

namespace THEW_ISA {
extern const Table<WinogradEntry> winograd_fp64;
const Table<WinogradEntry> winograd_fp64{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
