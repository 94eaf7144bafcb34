// The depthwise rows of bytes.
#include "kernels/depthwise/choose.hpp"

namespace thew {
namespace {

template <class Q>
constexpr DepthwiseEntry entry(DType type) {
    return {{"depthwise", "bytes", type, type, type, 0, 0, 0, kIsa}, run<ByteValues<Q>>, scratch_bytes<ByteValues<Q>>};
}

const DepthwiseEntry kEntries[] = {entry<std::uint8_t>(DType::uint8), entry<std::int8_t>(DType::int8)};

}  // namespace

namespace THEW_ISA {
extern const Table<DepthwiseEntry> depthwise_bytes{kEntries, 2};
}  // namespace THEW_ISA

}  // namespace thew
