// The depthwise rows of floats, bf16 apart: the instruction that rounds to it is newer.
#include "kernels/depthwise/choose.hpp"

namespace thew {
namespace {

const DepthwiseEntry kEntries[] = {real_entry<float>(DType::fp32, DType::fp32),
                                   real_entry<double>(DType::fp64, DType::fp64),
                                   real_entry<Fp16>(DType::fp16, DType::fp32)};

}  // namespace

namespace THEW_ISA {
extern const Table<DepthwiseEntry> depthwise_table;
const Table<DepthwiseEntry> depthwise_table{kEntries, 3};
}  // namespace THEW_ISA

}  // namespace thew
