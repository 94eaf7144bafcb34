// The cast rows of unsigned integer and bool sources.
#include "kernels/cast/strided.hpp"

namespace thew {
namespace {
constexpr OpEntry kEntries[] = {
    cast_entry<std::uint64_t>(DType::uint64), cast_entry<std::uint32_t>(DType::uint32),
    cast_entry<std::uint16_t>(DType::uint16), cast_entry<std::uint8_t>(DType::uint8),
    cast_entry<Bool>(DType::boolean),
};
}
namespace THEW_ISA {
extern const Table<OpEntry> cast_unsigned{kEntries, sizeof(kEntries) / sizeof(OpEntry)};
}
}  // namespace thew
