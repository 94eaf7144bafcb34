// How a tile of c is written: what is fused into it is applied while it is in registers.
#pragma once

#include "simd/activation.hpp"
#include "simd/half.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

template <class T>
struct Write {
    T* c;                          // at the tile's first column; rows at c_offset[row], or (plain) c_row apart
    const std::int64_t* c_offset;  // one a row
    const T* addend;               // null, or what is added: the residual, or c itself from the second block of k on
    const std::int64_t* addend_offset;
    bool plain;  // on Arm, see plain_tiles: no offsets; without a bias sums start at what c holds, which is no addend
    std::int64_t c_row, addend_row;
    const Wide<T>* bias;    // null, or at the tile's first column
    Activation activation;  // none but in the last block of k
    Wide<T> p0, p1;
    Wide<T>* sums;     // of 16-bit elements, where k is cut into blocks: what lies between them; rows sums_row apart
    bool first, last;  // whether this is the first or the last block of those
    int sums_row;
    int columns;  // stored, at most V vectors
};

// Asks for what row i of the tile will touch when its multiplications are done; on Arm for what is added alone, since
// nothing waits for stores there, and every address is an instruction.
template <int V, class T>
THEW_INLINE void prefetch_row(const Write<T>& write, int i) {
    constexpr int kLine = 64 / sizeof(T), kColumns = V * kLanes<Wide<T>>;
    if constexpr (!kLaneMultiply) {
        const T* c = write.c + write.c_offset[i];
        for (int n = 0; n < kColumns; n += kLine) __builtin_prefetch(c + n, 1, 3);
    }
    if (write.addend && write.addend != write.c) {
        const T* from = write.addend + write.addend_offset[i];
        for (int n = 0; n < kColumns; n += kLine) __builtin_prefetch(from + n, 0, 3);
    }
}

// Vector v of V: from some one on they may be partial (or empty, where columns come in more than one at a time).
template <int V, bool kWhole, class T>
THEW_INLINE Vec<Wide<T>> fetch(const T* from, int v, int columns) {
    constexpr int L = kLanes<Wide<T>>;
    const int left = columns - v * L;
    const T* at = from + v * L;
    return kWhole || left >= L ? load_widened(at) : load_widened_partial(at, left > 0 ? left : 0);
}

// The last activation that a tile applies in registers. Those after it are exponentials: written out for every sum of
// every tile they would be most of the library, and beside their arithmetic another load and store is little.
inline constexpr Activation kLastInRegisters = Activation::hard_swish;

// acc = function(acc) for every vector of a tile.
template <int H, int V, class T, class Function>
THEW_INLINE void each_sum(Vec<T> (&acc)[H][V], const Function& function) {
    unroll<H>([&](auto i) THEW_FLAT { unroll<V>([&](auto v) THEW_FLAT { acc[i][v] = function(acc[i][v]); }); });
}

template <int H, int V, class T>
THEW_INLINE void clip_sums(Vec<T> (&acc)[H][V], Activation activation, Vec<T> low, Vec<T> high) {
    if (activation == Activation::relu || activation == Activation::clip) {
        each_sum<H, V, T>(acc, [&](Vec<T> x) THEW_FLAT { return raise_to<T>(x, low); });
    }
    if (activation == Activation::clip) {
        each_sum<H, V, T>(acc, [&](Vec<T> x) THEW_FLAT { return lower_to<T>(x, high); });
    }
}

template <int H, int V, class T>
THEW_INLINE void activate_sums(Vec<T> (&acc)[H][V], Activation activation, T p0, T p1) {
    const Vec<T> first = splat(p0), second = splat(p1);
    clip_sums<H, V, T>(acc, activation, first, second);
    if (activation == Activation::leaky_relu) {
        each_sum<H, V, T>(acc, [&](Vec<T> x) THEW_FLAT { return x < T(0) ? x * first : x; });
    }
    if (activation == Activation::hard_swish) {
        const Vec<T> slope = splat(T(1.0 / 6)), half = splat(T(0.5)), one = splat(T(1));
        each_sum<H, V, T>(
            acc, [&](Vec<T> x) THEW_FLAT { return x * lower_to<T>(raise_to<T>(x * slope + half, Vec<T>{}), one); });
    }
}

// c = activation(acc + addend), columns whole vectors or with a partial last one.
template <int H, int V, bool kWhole, class T>
THEW_INLINE void write_tile(Vec<Wide<T>> (&acc)[H][V], const Write<T>& write) {
    using Sum = Wide<T>;
    if (write.addend) {
        unroll<H>([&](auto i) THEW_FLAT {
            const T* from = write.addend + write.addend_offset[i];
            if constexpr (kLaneMultiply) THEW_PIN_POINTER(from);
            unroll<V>([&](auto v) THEW_FLAT { acc[i][v] += fetch<V, kWhole>(from, v, write.columns); });
        });
    }
    activate_sums<H, V, Sum>(acc, write.activation, write.p0, write.p1);
    T* c = write.c;  // not read again after each store, which might have changed it
    const std::int64_t* offset = write.c_offset;
    unroll<H>([&](auto i) THEW_FLAT {
        T* to = c + offset[i];
        if constexpr (kLaneMultiply) THEW_PIN_POINTER(to);  // one address a row, so that its stores pair
        unroll<V>([&](auto v) THEW_FLAT {
            const int left = write.columns - v * kLanes<Sum>;
            if (kWhole || left >= kLanes<Sum>) {
                store_narrowed(to + v * kLanes<Sum>, acc[i][v]);
            } else if (left > 0) {
                store_narrowed_partial(to + v * kLanes<Sum>, acc[i][v], left);
            }
        });
    });
}

// One activation over rows just stored: a loop of its own, which keeps its constants in registers.
template <Activation kActivation, class T>
THEW_INLINE void activate_rows_by(const Write<T>& write, int rows) {
    using Sum = Wide<T>;
    for (int i = 0; i < rows; ++i) {
        T* row = write.c + write.c_offset[i];
        int n = 0;
        for (; n + kLanes<Sum> <= write.columns; n += kLanes<Sum>) {
            store_narrowed(row + n, activate<Sum>(kActivation, load_widened(row + n), write.p0, write.p1));
        }
        if (const int tail = write.columns - n; tail > 0) {
            const Vec<Sum> last = load_widened_partial(row + n, tail);
            store_narrowed_partial(row + n, activate<Sum>(kActivation, last, write.p0, write.p1), tail);
        }
    }
}

// Activations after kLastInRegisters, over the tile just stored: kept out of the tiles, of which there are many.
template <class T>
__attribute__((noinline)) void activate_rows(const Write<T>& write, int rows) {
    switch (write.activation) {
        case Activation::hard_sigmoid: return activate_rows_by<Activation::hard_sigmoid>(write, rows);
        case Activation::sigmoid: return activate_rows_by<Activation::sigmoid>(write, rows);
        case Activation::silu: return activate_rows_by<Activation::silu>(write, rows);
        case Activation::tanh: return activate_rows_by<Activation::tanh>(write, rows);
        case Activation::gelu: return activate_rows_by<Activation::gelu>(write, rows);
        case Activation::elu: return activate_rows_by<Activation::elu>(write, rows);
        default: return;  // done in registers
    }
}

}  // namespace
}  // namespace thew
