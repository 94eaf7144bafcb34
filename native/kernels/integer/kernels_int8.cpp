// The rows of integer products: one register tile on each ISA that multiplies 8-bit integers its own way.
#include "kernels/integer/driver.hpp"

namespace thew {
namespace {

constexpr IntegerEntry entry(const char* algorithm, DType a, bool patches) {
    return {{"integer", algorithm, a, DType::int8, DType::int32, ChosenMultiply::kMostRows, kTileColumns,
             ChosenMultiply::kGroup, kIsa},
            {sizeof(PackedA), sizeof(PackedA), sizeof(PackedA) == 1 && PackedA(-1) < PackedA(0), ChosenMultiply::kGroup,
             kWordLanes, ChosenMultiply::kDepthMultiple},
            patches ? nullptr : run_integer_rows,
            patches ? run_integer_patches : nullptr};
}

constexpr IntegerEntry kEntries[] = {
    entry("packed", DType::uint8, false),
    entry("packed", DType::int8, false),
    entry("implicit", DType::uint8, true),
    entry("implicit", DType::int8, true),
};

}  // namespace

namespace THEW_ISA {
extern const Table<IntegerEntry> integer_int8{kEntries, sizeof(kEntries) / sizeof(IntegerEntry)};
}
}  // namespace thew
