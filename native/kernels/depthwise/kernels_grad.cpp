// The rows of the gradient of depthwise weights.
#include "kernels/depthwise/weight_gradient.hpp"

namespace thew {
namespace {

template <class Memory>
constexpr DepthwiseGradEntry entry(DType type, DType sum) {
    return {{"depthwise", "gradient", type, type, sum, 0, 0, 0, kIsa}, run_depthwise_gradient<Memory>};
}

const DepthwiseGradEntry kEntries[] = {entry<float>(DType::fp32, DType::fp32), entry<double>(DType::fp64, DType::fp64),
                                       entry<Fp16>(DType::fp16, DType::fp32), entry<Bf16>(DType::bf16, DType::fp32)};

}  // namespace

namespace THEW_ISA {
extern const Table<DepthwiseGradEntry> depthwise_grad;
const Table<DepthwiseGradEntry> depthwise_grad{kEntries, 4};
}  // namespace THEW_ISA

}  // namespace thew
