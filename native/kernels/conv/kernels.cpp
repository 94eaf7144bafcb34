// The rows of conv: the trunk's tiles under packers that gather patches.
#include "kernels/conv/direct.hpp"
#include "kernels/conv/gather.hpp"
#include "kernels/conv/gather_transposed.hpp"
#include "kernels/conv/scatter.hpp"
#include "kernels/matmul/pack_b.hpp"
#include "kernels/matmul/tiles.hpp"

namespace thew {
namespace {

constexpr const char* kNames[] = {"implicit", "pointwise", "direct"};

template <class T, class Tiles>
constexpr ConvEntry entry(ConvAlgorithm algorithm, DType dtype, decltype(MatmulEntry::run) strided,
                          decltype(ConvEntry::run) run) {
    const char* name = kNames[static_cast<int>(algorithm)];
    return {algorithm,
            {{"conv", name, dtype, dtype, dtype, Tiles::kRows, Tiles::kPanel, 1, kIsa},
             kLanes<T>,
             kDepthMultiple<T>,
             kColumnPitch<T, Tiles>,
             algorithm == ConvAlgorithm::pointwise && !kLaneMultiply,
             pack_b<T, Tiles::kPanel, kDepthMultiple<T>>,
             strided},
            run,
            nullptr,
            nullptr};
}

template <class T>
constexpr ConvEntry implicit(DType dtype) {
    ConvEntry made = entry<T, TilesOf<T>>(ConvAlgorithm::implicit, dtype, nullptr, run_patches<T, TilesOf<T>>);
    made.grad_weight = run_grad_weight<T, TilesOf<T>>;
    made.scatter = scatter_sums<T>;
    return made;
}
template <class T>
constexpr ConvEntry pointwise(DType dtype) {
    return entry<T, TilesOf<T>>(ConvAlgorithm::pointwise, dtype, run_strided<T, TilesOf<T>>, nullptr);
}
#if !defined(__aarch64__)  // where one lane of a register is the factor, elements that lie apart must be gathered
template <class T>
constexpr ConvEntry direct(DType dtype) {
    using Tiles = DirectTiles<T, TilesOf<T>::kRows, TilesOf<T>::kPanel / kLanes<T>>;
    return entry<T, Tiles>(ConvAlgorithm::direct, dtype, nullptr, run_direct<T, Tiles>);
}
#endif

constexpr ConvEntry kEntries[] = {
    implicit<float>(DType::fp32),  pointwise<float>(DType::fp32),
    implicit<double>(DType::fp64), pointwise<double>(DType::fp64),
#if !defined(__aarch64__)
    direct<float>(DType::fp32),    direct<double>(DType::fp64),
#endif
};

}  // namespace

namespace THEW_ISA {
extern const Table<ConvEntry> conv_table;
const Table<ConvEntry> conv_table{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
