// The convolutions by planes of one ISA.
#include "kernels/conv_planes/forward.hpp"
#include "kernels/conv_planes/grad_weight.hpp"

namespace thew {
namespace {

template <class T>
constexpr PlaneConvEntry entry(DType type) {
    return {{"conv_planes", "direct", type, type, type, 0, 0, 0, kIsa},
            forward_bytes<T>,
            grad_weight_bytes<T>,
            run_forward<T>,
            run_grad_weight<T>};
}

constexpr PlaneConvEntry kEntries[] = {entry<float>(DType::fp32), entry<double>(DType::fp64)};

}  // namespace

namespace THEW_ISA {
extern const Table<PlaneConvEntry> conv_planes_table;
const Table<PlaneConvEntry> conv_planes_table{kEntries, 2};
}  // namespace THEW_ISA

}  // namespace thew
