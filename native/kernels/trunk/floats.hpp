// The rows on the trunk whose elements are multiplied and summed as they lie in memory, of all families that stand on
// it: one unit an element type instantiates them, so that the register tiles, which are most of the code, exist once.
#pragma once

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

template <class T, DType dtype>
constexpr MatmulEntry kMatmul[] = {trunk_entry<TilesOf<Plain<T>>>("matmul", "packed", dtype, dtype)};
template <class T, DType dtype>
constexpr ConvEntry kConv[] = {
    implicit<T>(dtype),
    pointwise_entry<TilesOf<Plain<T>>>(dtype, dtype),
#if !defined(__aarch64__)
    direct<T>(dtype),
#endif
};

}  // namespace
}  // namespace thew
