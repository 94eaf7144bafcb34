// The cast rows of signed integer sources.
#include "kernels/cast/strided.hpp"

namespace thew {
namespace {
constexpr OpEntry kEntries[] = {
    cast_entry<std::int64_t>(DType::int64),
    cast_entry<std::int32_t>(DType::int32),
    cast_entry<std::int16_t>(DType::int16),
    cast_entry<std::int8_t>(DType::int8),
};
}
namespace THEW_ISA {
extern const Table<OpEntry> cast_signed{kEntries, sizeof(kEntries) / sizeof(OpEntry)};
}
}  // namespace thew
