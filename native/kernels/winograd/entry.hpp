// How an entry of the table is made of a type's register tile and sizes of tile and window.
#pragma once

#include "kernels/matmul/tiles.hpp"
#include "kernels/winograd/blocks.hpp"
#include "kernels/winograd/weight_gradient.hpp"
#include "kernels/winograd/weights.hpp"

namespace thew {
namespace {

// Sums over tiles are too long for fp16.
template <class Memory, class Tiles, int M, int R>
constexpr auto weight_gradient_of() -> decltype(WinogradEntry::grad_weight) {
    if constexpr (SumDepth<Wide<Memory>>::kMost > 0) {
        return nullptr;
    } else {
        return run_weight_gradient<Memory, Tiles, M, R>;
    }
}

template <class Memory, int M, int R>
constexpr WinogradEntry winograd_entry(const char* algorithm, DType dtype) {
    using T = Wide<Memory>;
    using Tiles = TilesOf<Plain<T>>;
    return {{"winograd", algorithm, dtype, dtype, kIsHalf<Memory> ? DType::fp32 : dtype, Tiles::kRows, Tiles::kPanel, 1,
             kIsa},
            M,
            R,
            kLanes<T>,
            Tiles::kDepthMultiple,
            pack_winograd<Memory, Tiles, M, R>,
            run_winograd<Memory, Tiles, M, R>,
            kColumnPitch<Tiles>,
            weight_gradient_of<Memory, Tiles, M, R>()};
}

}  // namespace
}  // namespace thew
