// The micro-kernels: multiply, then write, for every height and width up to the whole tile.
#pragma once

#include "kernels/matmul/multiply.hpp"
#include "kernels/matmul/write.hpp"

namespace thew {
namespace {

// What the tiles after this one will read from beyond the second-level cache. A step of 0 asks for nothing new.
struct Ahead {
    const char* at;
    std::int64_t step;  // bytes: kAheadBytes, or 0
};
inline constexpr int kAheadLines = 4, kAheadBytes = kAheadLines * 64;

template <class T>
using TileKernel = void (*)(const T* a, std::int64_t ld, std::int64_t step, const T* b, std::int64_t k, Ahead ahead,
                            const Write<T>& write);

// The memory that a tile asks for while it multiplies: some of what comes next, and what one of its rows will touch.
template <class T, int H, int V>
struct Requests {
    Ahead ahead;
    const Write<T>& write;
    int row;

    THEW_INLINE void operator()() {
        unroll<kAheadLines>([&](auto line) THEW_FLAT { __builtin_prefetch(ahead.at + line * 64, 0, 2); });
        ahead.at += ahead.step;
        if (row < H) prefetch_row<T, V>(write, row++);
    }
};

// Before the multiplications: sums start at the bias; what rows from `first_asked` on will touch is asked for at once,
// since the multiplications are too few to do it.
template <class T, int H, int V>
THEW_INLINE void begin_tile(Vec<T> (&acc)[H][V], const Write<T>& write, std::int64_t first_asked) {
    if constexpr (kLaneMultiply) {  // where all of them are, and instructions count
        unroll<H>([&](auto i) THEW_FLAT { prefetch_row<T, V>(write, i); });
    } else {
        for (std::int64_t i = first_asked; i < H; ++i) prefetch_row<T, V>(write, static_cast<int>(i));
    }
    const bool whole = write.columns == V * kLanes<T>;
    unroll<V>([&](auto v) THEW_FLAT {
        Vec<T> start{};
        if (write.bias) {
            start = whole ? fetch<T, V, true>(write.bias, v, 0) : fetch<T, V, false>(write.bias, v, write.columns);
        }
        unroll<H>([&](auto i) THEW_FLAT { acc[i][v] = start; });
    });
}

template <class T, int H, int V>
THEW_INLINE void end_tile(Vec<T> (&acc)[H][V], const Write<T>& write) {
    if (write.columns == V * kLanes<T>) {
        write_tile<T, H, V, true>(acc, write);
    } else {
        write_tile<T, H, V, false>(acc, write);
    }
    if (write.activation > Activation::clip) activate_rows(write, H);
}

template <class T, int H, int V, bool kNarrow, class Multiply>
void tile(const T* a, std::int64_t ld, std::int64_t step, const T* b, std::int64_t k, Ahead ahead,
          const Write<T>& write) {
    Vec<T> acc[H][V];
    constexpr int kDepth = Multiply::kRequestDepth;
    begin_tile<T, H, V>(acc, write, kDepth == 0 ? 0 : k / (kDepth == 0 ? 1 : kDepth));
    Requests<T, H, V> requests{ahead, write, 0};
    Multiply::template multiply<T, H, V, kNarrow>(a, ld, step, b, k, requests, acc);
    end_tile<T, H, V>(acc, write);
}

// Whether a last vector of which at most half counts is multiplied as half a register: of use where the widest ones are
// split in two, as on Zen 4; elsewhere it costs nothing.
template <class T>
inline constexpr bool kNarrowTails = kVectorBytes == 64 && sizeof(T) == 4;

template <class T, int H, int V, class Multiply_>
struct TileSet {
    using Multiply = Multiply_;
    static constexpr int kRows = H, kPanel = V * kLanes<T>, kHalf = kLanes<T> / 2;
    TileKernel<T> kernels[H][2 * V];  // [rows - 1][half vectors of columns - 1]

    constexpr TileSet() : kernels() { fill(std::make_integer_sequence<int, 2 * H * V>{}); }
    TileKernel<T> kernel(int rows, int columns) const { return kernels[rows - 1][(columns - 1) / kHalf]; }

private:
    template <int... I>
    constexpr void fill(std::integer_sequence<int, I...>) {
        ((kernels[I / (2 * V)][I % (2 * V)] = tile < T, I / (2 * V) + 1, I % (2 * V) / 2 + 1,
          kNarrowTails<T> && I % 2 == 0, Multiply >),
         ...);
    }
};

// A block's rows are cut into panels whose heights differ by at most one: a short last one would waste multipliers.
// Where the rows come in units (Blocking::unit), each unit is cut by itself.
struct Panels {
    std::int64_t unit, in_unit, count;

    Panels(std::int64_t block_rows, int most, std::int64_t unit_rows = 0)
        : unit(unit_rows > 0 ? unit_rows : block_rows),
          in_unit((unit + most - 1) / most),
          count(unit_rows > 0 ? block_rows / unit_rows * in_unit : in_unit) {}
    int height(std::int64_t panel) const {
        return static_cast<int>(unit / in_unit + (panel % in_unit < unit % in_unit));
    }
};

}  // namespace
}  // namespace thew
