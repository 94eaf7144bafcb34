// The micro-kernels: H rows by V vectors of c in registers over a depth of k, then written with what is fused into it.
// Rows of a are read where they lie, `ld` apart, one element broadcast at a time; b comes in packed panel rows.
//
// The empty asm statements keep gcc 12 honest: an accumulator pinned after each multiply-add stays in one register
// (else it is renamed, and spilled at 28 of them), and pointers bumped at each step fold into addressing modes.
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

template <class T>
using TileKernel = void (*)(const T* a, std::int64_t ld, const T* b, std::int64_t k, const Write<T>& write);

template <class T, int H, int V>
THEW_INLINE void multiply(const T* a, std::int64_t ld, const T* b, std::int64_t k, Vec<T> (&acc)[H][V]) {
    constexpr int kPointers = (H + 2) / 3;  // each serves rows at 0, ld and 2·ld: what x86 can address
    const T* rows[kPointers];
    unroll<kPointers>([&](auto g) THEW_FLAT {
        rows[g] = a + 3 * g * ld;
        THEW_PIN_POINTER(rows[g]);
    });
    auto step = [&](auto u) THEW_FLAT {
        Vec<T> w[V];
        unroll<V>([&](auto v) THEW_FLAT {
            w[v] = load(b + (u * V + v) * kLanes<T>);
            THEW_PIN(w[v]);
        });
        unroll<H>([&](auto i) THEW_FLAT {
            Vec<T> x = splat(*(rows[i / 3] + (i % 3) * ld));
            unroll<V>([&](auto v) THEW_FLAT {
                acc[i][v] = x * w[v] + acc[i][v];
                THEW_PIN(acc[i][v]);
            });
        });
        unroll<kPointers>([&](auto g) THEW_FLAT {
            rows[g] += 1;
            THEW_PIN_POINTER(rows[g]);
        });
    };
    for (; k >= 4; k -= 4) {
        unroll<4>(step);
        b += 4 * V * kLanes<T>;
    }
    for (; k > 0; --k) {
        step(Constant<0>{});
        b += V * kLanes<T>;
    }
}

// c = activation(acc + bias + addend) for whole vectors, or with a last vector of `columns` % kLanes.
template <class T, int H, int V, bool kWhole>
THEW_INLINE void write_tile(Vec<T> (&acc)[H][V], const Write<T>& write) {
    const int tail = write.columns - (V - 1) * kLanes<T>;
    auto fetch = [&](const T* from, auto v) THEW_FLAT {
        return kWhole || v < V - 1 ? load(from + v * kLanes<T>) : load_partial(from + v * kLanes<T>, tail);
    };
    if (write.bias) {
        unroll<V>([&](auto v) THEW_FLAT {
            Vec<T> bias = fetch(write.bias, v);
            unroll<H>([&](auto i) THEW_FLAT { acc[i][v] += bias; });
        });
    }
    if (write.addend) {
        unroll<H>([&](auto i) THEW_FLAT {
            const T* from = write.addend + write.addend_offset[i];
            unroll<V>([&](auto v) THEW_FLAT { acc[i][v] += fetch(from, v); });
        });
    }
    if (write.activation == Activation::relu || write.activation == Activation::clip) {
        const Vec<T> low = splat(write.p0), high = splat(write.p1);
        unroll<H>([&](auto i) THEW_FLAT {
            unroll<V>([&](auto v) THEW_FLAT {  // a NaN fails both comparisons and stays
                acc[i][v] = acc[i][v] < low ? low : acc[i][v];
                acc[i][v] = acc[i][v] > high ? high : acc[i][v];
            });
        });
    }
    unroll<H>([&](auto i) THEW_FLAT {
        T* to = write.c + write.c_offset[i];
        unroll<V>([&](auto v) THEW_FLAT {
            if (kWhole || v < V - 1) {
                store(to + v * kLanes<T>, acc[i][v]);
            } else {
                store_partial(to + v * kLanes<T>, acc[i][v], tail);
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

template <class T, int H, int V>
void tile(const T* a, std::int64_t ld, const T* b, std::int64_t k, const Write<T>& write) {
    Vec<T> acc[H][V];
    unroll<H>([&](auto i) THEW_FLAT { unroll<V>([&](auto v) THEW_FLAT { acc[i][v] = Vec<T>{}; }); });
    multiply<T, H, V>(a, ld, b, k, acc);
    if (write.columns == V * kLanes<T>) {
        write_tile<T, H, V, true>(acc, write);
    } else {
        write_tile<T, H, V, false>(acc, write);
    }
    if (write.activation > Activation::clip) activate_rows(write, H);
}

// Every height and width up to the whole tile: kernels[rows - 1][vectors - 1].
template <class T, int H, int V>
struct TileSet {
    static constexpr int kRows = H, kVectors = V, kPanel = V * kLanes<T>;
    TileKernel<T> kernels[H][V];
    constexpr TileSet() : kernels() {
        unroll_heights(std::make_integer_sequence<int, H>{});
    }

private:
    template <int... I>
    constexpr void unroll_heights(std::integer_sequence<int, I...>) {
        (fill<I>(std::make_integer_sequence<int, V>{}), ...);
    }
    template <int I, int... J>
    constexpr void fill(std::integer_sequence<int, J...>) {
        ((kernels[I][J] = tile<T, I + 1, J + 1>), ...);
    }
};

}  // namespace
}  // namespace thew
