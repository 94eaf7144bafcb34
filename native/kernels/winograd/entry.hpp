// How an entry of the table is made of a type's register tile and sizes of tile and window.
#pragma once

#include "kernels/matmul/tiles.hpp"
#include "kernels/winograd/blocks.hpp"
#include "kernels/winograd/weights.hpp"

namespace thew {
namespace {

template <class T, int M, int R>
constexpr WinogradEntry winograd_entry(const char* algorithm, DType dtype) {
    using Tiles = TilesOf<Plain<T>>;
    return {{"winograd", algorithm, dtype, dtype, dtype, Tiles::kRows, Tiles::kPanel, 1, kIsa},
            M,
            R,
            kLanes<T>,
            Tiles::kDepthMultiple,
            pack_winograd<T, Tiles, M, R>,
            run_winograd<T, Tiles, M, R>};
}

}  // namespace
}  // namespace thew
