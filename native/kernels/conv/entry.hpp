// How an entry of the table is made of a set of tiles.
#pragma once

#include "kernels/conv/gather_transposed.hpp"
#include "kernels/matmul/tiles.hpp"

namespace thew {
namespace {

template <class Tiles>
constexpr ConvEntry implicit_entry(DType memory, DType sum) {
    MatmulEntry trunk = trunk_entry<Tiles>("conv", "implicit", memory, sum);
    trunk.reads_in_place = false;
    trunk.run = nullptr;
    ConvEntry entry{ConvAlgorithm::implicit, trunk, run_patches<Tiles>, nullptr, nullptr};
    if constexpr (Tiles::Multiply::kTakesColumns) entry.grad_weight = run_grad_weight<Tiles>;
    return entry;
}
template <class Tiles>
constexpr ConvEntry pointwise_entry(DType memory, DType sum) {
    return {ConvAlgorithm::pointwise, trunk_entry<Tiles>("conv", "pointwise", memory, sum), nullptr, nullptr, nullptr};
}

}  // namespace
}  // namespace thew
