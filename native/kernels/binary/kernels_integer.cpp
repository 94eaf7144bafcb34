// The binary rows of integers and bool.
#include "kernels/binary/strided.hpp"

namespace thew {
namespace {
constexpr OpEntry kEntries[] = {
    binary_entry<BinaryIntegerOps<std::int64_t>>(DType::int64),
    binary_entry<BinaryIntegerOps<std::int32_t>>(DType::int32),
    binary_entry<BinaryIntegerOps<std::int16_t>>(DType::int16),
    binary_entry<BinaryIntegerOps<std::int8_t>>(DType::int8),
    binary_entry<BinaryIntegerOps<std::uint64_t>>(DType::uint64),
    binary_entry<BinaryIntegerOps<std::uint32_t>>(DType::uint32),
    binary_entry<BinaryIntegerOps<std::uint16_t>>(DType::uint16),
    binary_entry<BinaryIntegerOps<std::uint8_t>>(DType::uint8),
    binary_entry<BinaryBooleanOps>(DType::boolean),
};
}
namespace THEW_ISA {
extern const Table<OpEntry> binary_integer{kEntries, sizeof(kEntries) / sizeof(OpEntry)};
}
}  // namespace thew
