// The unary rows of integers and bool.
#include "kernels/unary/strided.hpp"

namespace thew {
namespace {
constexpr OpEntry kEntries[] = {
    unary_entry<UnaryIntegerOps<std::int64_t>>(DType::int64),
    unary_entry<UnaryIntegerOps<std::int32_t>>(DType::int32),
    unary_entry<UnaryIntegerOps<std::int16_t>>(DType::int16),
    unary_entry<UnaryIntegerOps<std::int8_t>>(DType::int8),
    unary_entry<UnaryIntegerOps<std::uint64_t>>(DType::uint64),
    unary_entry<UnaryIntegerOps<std::uint32_t>>(DType::uint32),
    unary_entry<UnaryIntegerOps<std::uint16_t>>(DType::uint16),
    unary_entry<UnaryIntegerOps<std::uint8_t>>(DType::uint8),
    unary_entry<UnaryBooleanOps>(DType::boolean),
};
}
namespace THEW_ISA {
extern const Table<OpEntry> unary_integer{kEntries, sizeof(kEntries) / sizeof(OpEntry)};
}
}  // namespace thew
