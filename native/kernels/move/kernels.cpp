// The move rows: every dtype, by the size of its elements.
#include "kernels/move/sample.hpp"
#include "kernels/move/strided.hpp"
#include "kernels/move/transpose.hpp"

namespace thew {
namespace {

template <class Word>
constexpr MoveEntry entry(DType dtype, LeafKernel weighted = nullptr) {
    return {{"move", "strided", dtype, dtype, dtype, 0, 0, 0, kIsa},
            copy_rows<Word>,
            transpose<Word>,
            pick_rows<Word>,
            weighted};
}

constexpr MoveEntry kEntries[] = {
    entry<std::uint64_t>(DType::fp64, weigh_rows<double>),
    entry<std::uint32_t>(DType::fp32, weigh_rows<float>),
    entry<std::uint16_t>(DType::fp16),
    entry<std::uint16_t>(DType::bf16),
    entry<std::uint64_t>(DType::int64),
    entry<std::uint32_t>(DType::int32),
    entry<std::uint16_t>(DType::int16),
    entry<std::uint8_t>(DType::int8),
    entry<std::uint64_t>(DType::uint64),
    entry<std::uint32_t>(DType::uint32),
    entry<std::uint16_t>(DType::uint16),
    entry<std::uint8_t>(DType::uint8),
    entry<std::uint8_t>(DType::boolean),
};

}  // namespace

namespace THEW_ISA {
extern const Table<MoveEntry> move_table{kEntries, sizeof(kEntries) / sizeof(MoveEntry)};
}
}  // namespace thew
