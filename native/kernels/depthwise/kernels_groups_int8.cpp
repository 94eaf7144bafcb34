// The rows of groups of several channels, of bytes: where the ISA multiplies four of them at once, and is the first to.
#include "kernels/depthwise/byte_groups.hpp"

namespace thew {
namespace {

#if defined(THEW_HAS_QUADS) && !defined(__AMX_INT8__) && !defined(__ARM_FEATURE_MATMUL_INT8)
template <class Q>
constexpr DepthwiseEntry entry(DType type) {
    return {{"depthwise", "grouped", type, type, type, kMostGroupOutputs, kLanes<std::int32_t>, kQuad, kIsa},
            run_groups<ByteGroups<Q>>,
            group_scratch_bytes<ByteGroups<Q>>};
}

const DepthwiseEntry kEntries[] = {entry<std::uint8_t>(DType::uint8), entry<std::int8_t>(DType::int8)};
const Table<DepthwiseEntry> kTable{kEntries, 2};
#else
const Table<DepthwiseEntry> kTable{nullptr, 0};
#endif

}  // namespace

namespace THEW_ISA {
extern const Table<DepthwiseEntry> depthwise_byte_groups;
const Table<DepthwiseEntry> depthwise_byte_groups = kTable;
}  // namespace THEW_ISA

}  // namespace thew
