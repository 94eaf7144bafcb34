// How an entry of the table is made of a type's register tile and sizes of tile and window.
#pragma once

#include "kernels/matmul/tiles.hpp"
#include "kernels/winograd/blocks.hpp"
#include "kernels/winograd/weight_gradient.hpp"
#include "kernels/winograd/weights.hpp"

namespace thew {
namespace {

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
            run_weight_gradient<Memory, Tiles, M, R>};
}

}  // namespace
}  // namespace thew
