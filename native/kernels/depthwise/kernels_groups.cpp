// The rows of groups of several channels.
#include "kernels/depthwise/groups.hpp"

namespace thew {
namespace {

const DepthwiseEntry kEntries[] = {
    {{"depthwise", "grouped", DType::fp32, DType::fp32, DType::fp32, kMostGroupOutputs, kLanes<float>, 1, kIsa},
     run_groups<RealGroups<float>>,
     group_scratch_bytes<RealGroups<float>>}};

}  // namespace

namespace THEW_ISA {
extern const Table<DepthwiseEntry> depthwise_groups;
const Table<DepthwiseEntry> depthwise_groups{kEntries, 1};
}  // namespace THEW_ISA

}  // namespace thew
