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

// The same over panels, one after the other: each goes on where the one before stopped, up to `end`; or asks for the
// panel that follows it.
struct AheadTo : Ahead {
    const char* end;
    bool follows = false;

    THEW_INLINE void begin(const void* next) {
        if (!kLaneMultiply && follows) at = static_cast<const char*>(next);
    }
    THEW_INLINE void advance(std::int64_t requests) {
        if (kLaneMultiply) return;  // whose loops ask for nothing
        at += requests * step;
        if (!follows && at >= end) step = 0;
    }
};

// Panels of one height, a_panel elements apart.
template <class N>
struct TilePanels {
    const typename N::A* a;
    std::int64_t ld, step, a_panel, count;
    const typename N::B* b;
    std::int64_t k;
};

// On Arm a kernel goes over panels itself: saving registers and finding the kernel were about 100 instructions a tile.
// On x86 it takes one, and the loop over panels stands once, around all kernels, which keeps the library small.
template <class N>
using TileKernel =
    std::conditional_t<kLaneMultiply,
                       void (*)(const TilePanels<N>& panels, AheadTo& ahead, Write<typename N::Memory>& write),
                       void (*)(const typename N::A* a, std::int64_t ld, std::int64_t step, const typename N::B* b,
                                std::int64_t k, Ahead ahead, const Write<typename N::Memory>& write)>;

// The memory that a tile asks for while it multiplies: some of what comes next, and what one of its rows will touch.
template <int H, int V, class T>
struct Requests {
    Ahead ahead;
    const Write<T>& write;
    int row;

    THEW_INLINE void operator()() {
        unroll<kAheadLines>([&](auto line) THEW_FLAT { __builtin_prefetch(ahead.at + line * 64, 0, 2); });
        ahead.at += ahead.step;
        if (row < H) prefetch_row<V>(write, row++);
    }
};

// Calls visit(sum, where it is kept between blocks of k) for the sums of a tile.
template <int H, int V, class T, class Visit>
THEW_INLINE void visit_sums(Vec<Wide<T>> (&acc)[H][V], const Write<T>& write, const Visit& visit) {
    Wide<T>* row = write.sums;
    unroll<H>([&](auto i) THEW_FLAT {
        unroll<V>([&](auto v) THEW_FLAT { visit(acc[i][v], row + v * kLanes<Wide<T>>); });
        row += write.sums_row;
    });
}

// Of whole vectors, on Arm: a pair of loads is one instruction, copies of a pair are two.
template <int H, int V, class T>
THEW_INLINE void start_at(Vec<T> (&acc)[H][V], const T* bias) {
    unroll<H>([&](auto i) THEW_FLAT {
        asm volatile("" : "+r"(bias));  // volatile, else every row's is a register of its own around the tiles
        unroll<V>([&](auto v) THEW_FLAT { acc[i][v] = load(bias + v * kLanes<T>); });
    });
}

// Before the multiplications: sums start at the bias; what rows from `first_asked` on will touch is asked for at once,
// since the multiplications are too few to do it. V: vectors of sums.
template <int H, int V, class T>
THEW_INLINE void begin_tile(Vec<Wide<T>> (&acc)[H][V], const Write<T>& write, std::int64_t first_asked) {
    if constexpr (kLaneMultiply) {  // where all of them are
        unroll<H>([&](auto i) THEW_FLAT { prefetch_row<V>(write, i); });
    } else {
        for (std::int64_t i = first_asked; i < H; ++i) prefetch_row<V>(write, static_cast<int>(i));
    }
    if constexpr (kIsHalf<T>) {
        if (write.sums && !write.first) return visit_sums(acc, write, [](auto& sum, auto* at) { sum = load(at); });
    }
    const bool whole = write.columns == V * kLanes<Wide<T>>;
    if (kLaneMultiply && whole && write.bias) return start_at<H, V, Wide<T>>(acc, write.bias);
    unroll<V>([&](auto v) THEW_FLAT {
        Vec<Wide<T>> start{};
        if (write.bias) {
            start = whole ? fetch<V, true>(write.bias, v, 0) : fetch<V, false>(write.bias, v, write.columns);
        }
        unroll<H>([&](auto i) THEW_FLAT { acc[i][v] = start; });
    });
}

template <int H, int V, class T>
THEW_INLINE void end_tile(Vec<Wide<T>> (&acc)[H][V], const Write<T>& write) {
    if constexpr (kIsHalf<T>) {
        if (write.sums && !write.last) return visit_sums(acc, write, [](auto& sum, auto* at) { store(at, sum); });
    }
    if (write.columns == V * kLanes<Wide<T>>) {
        write_tile<H, V, true>(acc, write);
    } else {
        write_tile<H, V, false>(acc, write);
    }
    if (write.activation > kLastInRegisters) activate_rows(write, H);
}

template <class N, int H, int V, bool kNarrow, class Multiply>
THEW_INLINE void tile(const typename N::A* a, std::int64_t ld, std::int64_t step, const typename N::B* b,
                      std::int64_t k, Ahead ahead, const Write<typename N::Memory>& write) {
    constexpr int kSums = V * kSumsOfVector<N>, kDepth = Multiply::kRequestDepth * N::kGroup;
    Vec<typename N::Sum> acc[H][kSums];
    begin_tile(acc, write, kDepth == 0 ? 0 : k / (kDepth == 0 ? 1 : kDepth));
    Requests<H, kSums, typename N::Memory> requests{ahead, write, 0};
    Multiply::template multiply<N, H, V, kNarrow>(a, ld, step, b, k, requests, acc);
    end_tile(acc, write);
}

// Writes the tiles of panels by `kernel`, which takes one, and moves `write` on past their rows.
template <class N, int kRequestDepth, class Kernel>
THEW_INLINE void each_tile(const Kernel& kernel, int height, TilePanels<N> panels, AheadTo& ahead,
                           Write<typename N::Memory>& write) {
    for (; panels.count > 0; --panels.count, panels.a += panels.a_panel) {
        ahead.begin(panels.a + panels.a_panel);
        kernel(panels.a, panels.ld, panels.step, panels.b, panels.k, ahead, write);
        if constexpr (kRequestDepth > 0) ahead.advance(panels.k / (kRequestDepth * N::kGroup));
        write.c_offset += height;
        write.addend_offset += height;
        if (write.sums) write.sums += height * write.sums_row;
    }
}

// Calls visit(sum, its place) for sums whose rows lie `row` elements apart.
template <int H, int V, class T, class Visit>
THEW_INLINE void visit_rows(Vec<T> (&acc)[H][V], const T* from, std::int64_t row, const Visit& visit) {
    unroll<H>([&](auto i) THEW_FLAT {
        unroll<V>([&](auto v) THEW_FLAT { visit(acc[i][v], from + v * kLanes<T>); });
        from += row;
        THEW_PIN_POINTER(from);
    });
}
template <int H, class T>
THEW_INLINE void prefetch_rows(const T* from, std::int64_t row) {
    unroll<H>([&](auto) THEW_FLAT {
        __builtin_prefetch(from, 0, 3);
        from += row;
        THEW_PIN_POINTER(from);
    });
}

// Tiles of whole vectors, rows of c and of residuals evenly apart, with at most a clip: what each tile would ask anew
// is asked once for all panels, addresses follow from one another, and later blocks of k go on from what c holds.
template <class N, int H, int V, class Multiply>
THEW_INLINE void plain_tiles(TilePanels<N> panels, Write<typename N::Memory>& write) {
    using T = typename N::Memory;
    const std::int64_t row = write.c_row, addend_row = write.addend_row;
    const Activation activation = write.activation;
    const T p0 = write.p0, p1 = write.p1, *bias = write.bias, *addend = write.addend;
    const bool more = addend || !bias;
    T* c = write.c;
    for (; panels.count > 0; --panels.count, panels.a += panels.a_panel) {
        Vec<T> acc[H][V];
        if (more && !bias) {
            visit_rows<H, V>(acc, c, row, [](Vec<T>& sum, const T* at) THEW_FLAT { sum = load(at); });
        } else {
            if (more) prefetch_rows<H, T>(addend, addend_row);
            start_at<H, V, T>(acc, bias);
        }
        Multiply::template multiply<N, H, V, false>(
            panels.a, 1, 1, panels.b, panels.k, [] THEW_FLAT {}, acc);
        if (more && addend) {
            visit_rows<H, V>(acc, addend, addend_row, [](Vec<T>& sum, const T* at) THEW_FLAT { sum += load(at); });
            addend += H * addend_row;
        }
        clip_sums<H, V, T>(acc, activation, splat(p0), splat(p1));
        unroll<H>([&](auto i) THEW_FLAT {
            unroll<V>([&](auto v) THEW_FLAT { store(c + v * kLanes<T>, acc[i][v]); });
            c += row;
            THEW_PIN_POINTER(c);
        });
    }
    write.c = c;
    write.addend = addend;
}

template <class N, int H, int V, auto kTile, class Multiply>
void tile_panels(const TilePanels<N>& panels, AheadTo& ahead, Write<typename N::Memory>& write) {
    if constexpr (std::is_same_v<typename N::Memory, typename N::Sum>) {
        if (write.plain) return plain_tiles<N, H, V, Multiply>(panels, write);
    }
    each_tile<N, Multiply::kRequestDepth>(kTile, H, panels, ahead, write);
}

// Whether a last vector of which at most half counts is multiplied as half a register: of use where the widest ones are
// split in two, as on Zen 4; elsewhere it costs nothing.
template <class N>
inline constexpr bool kNarrowTails = std::is_same_v<N, Plain<float>>&& kVectorBytes == 64;

template <class N, int H, int V, class Multiply_>
struct TileSet {
    using Numbers = N;
    using Multiply = Multiply_;
    static constexpr int kRows = H, kPanel = V * N::kColumns, kHalf = N::kColumns / 2;
    static constexpr int kTogether = Multiply::template kTogether<N>;
    static constexpr int kDepthMultiple = Multiply::template kDepth<N>;
    TileKernel<N> kernels[H][2 * V];  // [rows - 1][half vectors of columns - 1]

    constexpr TileSet() : kernels() { fill(std::make_integer_sequence<int, 2 * H * V>{}); }
    THEW_INLINE void multiply(int rows, int columns, const TilePanels<N>& panels, AheadTo& ahead,
                              Write<typename N::Memory>& write) const {
        const TileKernel<N> kernel = kernels[rows - 1][(columns - 1) / kHalf];
        if constexpr (kLaneMultiply) {
            kernel(panels, ahead, write);
        } else {
            each_tile<N, Multiply::kRequestDepth>(kernel, rows, panels, ahead, write);
        }
    }

private:
    template <int... I>
    constexpr void fill(std::integer_sequence<int, I...>) {
        ((kernels[I / (2 * V)][I % (2 * V)] = of<I / (2 * V) + 1, I % (2 * V) / 2 + 1, I % 2 == 0>()), ...);
    }
    template <int kHeight, int kVectors, bool kHalfOfLast>
    static constexpr TileKernel<N> of() {
        if constexpr (requires { Multiply::template tile<N, H, V>; }) {
            return kernel<kHeight, kVectors, Multiply::template tile<N, kHeight, kVectors>>();
        } else {
            return kernel<kHeight, kVectors, tile<N, kHeight, kVectors, kNarrowTails<N> && kHalfOfLast, Multiply>>();
        }
    }
    template <int kHeight, int kVectors, auto kTile>
    static constexpr TileKernel<N> kernel() {
        if constexpr (kLaneMultiply) {
            return tile_panels<N, kHeight, kVectors, kTile, Multiply>;
        } else {
            return kTile;
        }
    }
};

}  // namespace
}  // namespace thew
