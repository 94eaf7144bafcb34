// The select rows: every dtype, by the size of its elements.
#include "kernels/select/strided.hpp"

namespace thew {
namespace {

template <class Word>
inline constexpr OpKernel kKernels[] = {{"where", where_rows<Word>}};

template <class Word>
constexpr OpEntry entry(DType dtype) {
    return {{"select", "strided", dtype, dtype, dtype, 0, 0, 0, kIsa}, kKernels<Word>, 1};
}

constexpr OpEntry kEntries[] = {
    entry<std::int64_t>(DType::fp64),   entry<std::int32_t>(DType::fp32),   entry<std::int16_t>(DType::fp16),
    entry<std::int16_t>(DType::bf16),   entry<std::int64_t>(DType::int64),  entry<std::int32_t>(DType::int32),
    entry<std::int16_t>(DType::int16),  entry<std::int8_t>(DType::int8),    entry<std::int64_t>(DType::uint64),
    entry<std::int32_t>(DType::uint32), entry<std::int16_t>(DType::uint16), entry<std::int8_t>(DType::uint8),
    entry<std::int8_t>(DType::boolean),
};

}  // namespace

namespace THEW_ISA {
extern const Table<OpEntry> select_table{kEntries, sizeof(kEntries) / sizeof(OpEntry)};
}
}  // namespace thew
