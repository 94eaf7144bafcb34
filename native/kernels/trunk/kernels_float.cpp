// The rows of fp32 and fp64 on the trunk, of all families that stand on it: in one unit, so that the register tiles,
// which are most of the code, exist once an ISA.
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

constexpr MatmulEntry kMatmul[] = {
    trunk_entry<TilesOf<Plain<float>>>("matmul", "packed", DType::fp32, DType::fp32),
    trunk_entry<TilesOf<Plain<double>>>("matmul", "packed", DType::fp64, DType::fp64),
};
constexpr ConvEntry kConv[] = {
    implicit<float>(DType::fp32),  pointwise<float>(DType::fp32),
    implicit<double>(DType::fp64), pointwise<double>(DType::fp64),
#if !defined(__aarch64__)
    direct<float>(DType::fp32),    direct<double>(DType::fp64),
#endif
};

}  // namespace

namespace THEW_ISA {
extern const Table<MatmulEntry> matmul_float;
const Table<MatmulEntry> matmul_float{kMatmul, sizeof(kMatmul) / sizeof(kMatmul[0])};
extern const Table<ConvEntry> conv_float;
const Table<ConvEntry> conv_float{kConv, sizeof(kConv) / sizeof(kConv[0])};
}  // namespace THEW_ISA

}  // namespace thew
