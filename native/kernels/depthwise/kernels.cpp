// The depthwise rows of floats.
#include "kernels/depthwise/choose.hpp"

namespace thew {
namespace {

constexpr Row row(DType type) { return {"depthwise", "direct", type, type, type, 0, 0, 0, kIsa}; }

const DepthwiseEntry kEntries[] = {
    {row(DType::fp32), run<RealValues<float>>, scratch_bytes<RealValues<float>>},
    {row(DType::fp64), run<RealValues<double>>, scratch_bytes<RealValues<double>>},
};

}  // namespace

namespace THEW_ISA {
extern const Table<DepthwiseEntry> depthwise_table;
const Table<DepthwiseEntry> depthwise_table{kEntries, 2};
}  // namespace THEW_ISA

}  // namespace thew
