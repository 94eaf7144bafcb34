// The micro-kernels: multiply, then write, for every height and width up to the whole tile.
#pragma once

#include "kernels/matmul/multiply.hpp"
#include "kernels/matmul/write.hpp"

namespace thew {
namespace {

template <class T>
using TileKernel = void (*)(const T* a, std::int64_t ld, std::int64_t step, const T* b, std::int64_t k,
                            const Write<T>& write);

template <class T, int H, int V, class Multiply>
void tile(const T* a, std::int64_t ld, std::int64_t step, const T* b, std::int64_t k, const Write<T>& write) {
    Vec<T> acc[H][V];
    prefetch_tile<T, H, V>(write);
    const bool whole = write.columns == V * kLanes<T>;
    unroll<V>([&](auto v) THEW_FLAT {
        Vec<T> start{};
        if (write.bias) {
            start = whole ? fetch<T, V, true>(write.bias, v, 0) : fetch<T, V, false>(write.bias, v, write.columns);
        }
        unroll<H>([&](auto i) THEW_FLAT { acc[i][v] = start; });
    });
    Multiply::template multiply<T, H, V>(a, ld, step, b, k, acc);
    if (whole) {
        write_tile<T, H, V, true>(acc, write);
    } else {
        write_tile<T, H, V, false>(acc, write);
    }
    if (write.activation > Activation::clip) activate_rows(write, H);
}

template <class T, int H, int V, class Multiply_>
struct TileSet {
    using Multiply = Multiply_;
    static constexpr int kRows = H, kPanel = V * kLanes<T>;
    TileKernel<T> kernels[H][V];  // [rows - 1][vectors - 1]

    constexpr TileSet() : kernels() { fill(std::make_integer_sequence<int, H * V>{}); }

private:
    template <int... I>
    constexpr void fill(std::integer_sequence<int, I...>) {
        ((kernels[I / V][I % V] = tile<T, I / V + 1, I % V + 1, Multiply>), ...);
    }
};

// A block's rows are cut into panels whose heights differ by at most one: a short last one would waste multipliers.
struct Panels {
    std::int64_t rows, count;

    Panels(std::int64_t block_rows, int most) : rows(block_rows), count((block_rows + most - 1) / most) {}
    int height(std::int64_t panel) const { return static_cast<int>(rows / count + (panel < rows % count)); }
};

}  // namespace
}  // namespace thew
