// How a tile of c is written: what is fused into it is applied while it is in registers.
#pragma once

#include "simd/activation.hpp"
#include "simd/unroll.hpp"
#include "simd/vec.hpp"

namespace thew {
namespace {

template <class T>
struct Write {
    T* c;                          // at the tile's first column; rows at c_offset[row]
    const std::int64_t* c_offset;  // one a row
    const T* addend;               // null, or what is added: the residual, or c itself from the second block of k on
    const std::int64_t* addend_offset;
    const T* bias;          // null, or at the tile's first column
    Activation activation;  // none but in the last block of k
    T p0, p1;
    int columns;  // stored, at most V × kLanes
};

// Asks for what row i of the tile will touch when its multiplications are done.
template <class T, int V>
THEW_INLINE void prefetch_row(const Write<T>& write, int i) {
    constexpr int kLine = 64 / sizeof(T);
    const T* c = write.c + write.c_offset[i];
    for (int n = 0; n < V * kLanes<T>; n += kLine) __builtin_prefetch(c + n, 1, 3);
    if (write.addend && write.addend != write.c) {
        const T* from = write.addend + write.addend_offset[i];
        for (int n = 0; n < V * kLanes<T>; n += kLine) __builtin_prefetch(from + n, 0, 3);
    }
}

// Vector v of V: the last one may be partial.
template <class T, int V, bool kWhole>
THEW_INLINE Vec<T> fetch(const T* from, int v, int columns) {
    const T* at = from + v * kLanes<T>;
    return kWhole || v < V - 1 ? load(at) : load_partial(at, columns - (V - 1) * kLanes<T>);
}

// c = activation(acc + addend), columns whole vectors or with a partial last one.
template <class T, int H, int V, bool kWhole>
THEW_INLINE void write_tile(Vec<T> (&acc)[H][V], const Write<T>& write) {
    if (write.addend) {
        unroll<H>([&](auto i) THEW_FLAT {
            const T* from = write.addend + write.addend_offset[i];
            unroll<V>([&](auto v) THEW_FLAT { acc[i][v] += fetch<T, V, kWhole>(from, v, write.columns); });
        });
    }
    if (write.activation == Activation::relu || write.activation == Activation::clip) {
        const Vec<T> low = splat(write.p0);
        unroll<H>([&](auto i)
                      THEW_FLAT { unroll<V>([&](auto v) THEW_FLAT { acc[i][v] = raise_to<T>(acc[i][v], low); }); });
    }
    if (write.activation == Activation::clip) {
        const Vec<T> high = splat(write.p1);
        unroll<H>([&](auto i)
                      THEW_FLAT { unroll<V>([&](auto v) THEW_FLAT { acc[i][v] = lower_to<T>(acc[i][v], high); }); });
    }
    unroll<H>([&](auto i) THEW_FLAT {
        T* to = write.c + write.c_offset[i];
        unroll<V>([&](auto v) THEW_FLAT {
            if (kWhole || v < V - 1) {
                store(to + v * kLanes<T>, acc[i][v]);
            } else {
                store_partial(to + v * kLanes<T>, acc[i][v], write.columns - (V - 1) * kLanes<T>);
            }
        });
    });
}

// Activations beyond a clip, over the tile just stored: kept out of the tiles, of which there are many.
template <class T>
__attribute__((noinline)) void activate_rows(const Write<T>& write, int rows) {
    for (int i = 0; i < rows; ++i) {
        T* row = write.c + write.c_offset[i];
        int n = 0;
        for (; n + kLanes<T> <= write.columns; n += kLanes<T>) {
            store(row + n, activate<T>(write.activation, load(row + n), write.p0, write.p1));
        }
        const int tail = write.columns - n;
        const Vec<T> last = load_partial(row + n, tail);
        store_partial(row + n, activate<T>(write.activation, last, write.p0, write.p1), tail);
    }
}

}  // namespace
}  // namespace thew
