// The rows of conv of fp32 and fp64: the trunk's tiles under packers that gather patches.
#include "kernels/conv/direct.hpp"
#include "kernels/conv/entry.hpp"
#include "kernels/conv/scatter.hpp"

namespace thew {
namespace {

template <class T>
constexpr ConvEntry implicit(DType dtype) {
    ConvEntry entry = implicit_entry<TilesOf<Plain<T>>>(dtype, dtype);
    entry.scatter = scatter_sums<T>;
    return entry;
}
template <class T>
constexpr ConvEntry pointwise(DType dtype) {
    return pointwise_entry<TilesOf<Plain<T>>>(dtype, dtype);
}
#if !defined(__aarch64__)  // where one lane of a register is the factor, elements that lie apart must be gathered
template <class T>
constexpr ConvEntry direct(DType dtype) {
    using Tiles = TilesOf<Plain<T>>;
    using Direct = DirectTiles<T, Tiles::kRows, Tiles::kPanel / kLanes<T>>;
    MatmulEntry trunk = trunk_entry<Tiles>("conv", "direct", dtype, dtype);
    trunk.reads_in_place = false;
    trunk.run = nullptr;
    return {ConvAlgorithm::direct, trunk, run_direct<T, Direct>, nullptr, nullptr};
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
extern const Table<ConvEntry> conv_float;
const Table<ConvEntry> conv_float{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
