// The batch-innermost convolutions of one ISA.
#include "kernels/conv_batch/forward.hpp"
#include "kernels/conv_batch/grad_weight.hpp"

namespace thew {
namespace {

template <class T>
constexpr BatchConvEntry entry(DType type) {
    return {{"conv_batch", "direct", type, type, type, 0, 0, 0, kIsa},
            kLanes<T>,
            pack_weights<T>,
            run_forward<T>,
            run_grad_weight<T>};
}

constexpr BatchConvEntry kEntries[] = {entry<float>(DType::fp32), entry<double>(DType::fp64)};

}  // namespace

namespace THEW_ISA {
extern const Table<BatchConvEntry> conv_batch_table;
const Table<BatchConvEntry> conv_batch_table{kEntries, 2};
}  // namespace THEW_ISA

}  // namespace thew
