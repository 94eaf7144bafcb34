// Register tiles of the products at one point: the trunk's loops (kernels/matmul/multiply.hpp), and results stored as
// they are, since what a convolution adds and applies comes after the transform of outputs.
#pragma once

#include "kernels/matmul/tile.hpp"

namespace thew {
namespace {

// c[row · c_row + column] = Σ_k a · b, plus c where it adds, for `count` panels of one height, a_panel elements apart
// in a and c_panel in c; operands as the multiplication takes them. a is packed as rows `ld` apart, or (kPitch > 0) as
// columns of kPitch elements.
template <class T>
struct ProductPanels {
    const T* a;
    std::int64_t ld, a_panel, count;
    const T* b;
    std::int64_t k;
    T* c;
    std::int64_t c_row, c_panel;
    bool adds;
};

// Of all panels, or of one (see TileKernel); H rows and V vectors of columns.
template <class T>
using ProductKernel = std::conditional_t<kLaneMultiply, void (*)(const ProductPanels<T>& panels, AheadTo& ahead),
                                         void (*)(const T* a, std::int64_t ld, const T* b, std::int64_t k, Ahead ahead,
                                                  T* c, std::int64_t c_row, bool adds)>;

// Part `part` of `parts` of the memory from `first` to `last`.
template <class T>
AheadTo ahead_of_part(const T* first, const T* last, std::int64_t part, std::int64_t parts) {
    const std::int64_t bytes = (reinterpret_cast<const char*>(last) - reinterpret_cast<const char*>(first)) / parts;
    const char* at = reinterpret_cast<const char*>(first) + part * bytes;
    return {{at, bytes > 0 ? kAheadBytes : 0}, at + bytes};
}

// One stretch of memory, then another.
struct AheadOfTwo {
    AheadTo first, second;
    THEW_INLINE AheadTo& now() { return first.step == 0 ? second : first; }
};

// How many products are summed in the elements' own type: sums of so many are added up in fp32.
template <class T>
struct SumDepth {
    static constexpr std::int64_t kMost = 0;  // no limit
};

// One panel in parts of SumDepth.
template <class T, int H, int V, class Multiply>
__attribute__((noinline)) void product_in_parts(const T* a, const T* b, std::int64_t k, T* c, std::int64_t c_row) {
    constexpr std::int64_t kMost = SumDepth<T>::kMost;
    constexpr int L = kLanes<float>;
    alignas(64) float sums[H * V * 2 * L] = {};
    for (; k > 0; k -= kMost, a += kMost * Multiply::kPanelRows, b += kMost * V * kLanes<T>) {
        Vec<T> acc[H][V];
        unroll<H * V>([&](auto n) THEW_FLAT { acc[n / V][n % V] = Vec<T>{}; });
        Multiply::template multiply<Plain<T>, H, V, false>(
            a, 1, 1, b, k < kMost ? k : kMost, [] THEW_FLAT {}, acc);
        unroll<H * V>([&](auto n) THEW_FLAT { SumDepth<T>::gain(sums + 2 * n * L, acc[n / V][n % V]); });
    }
    for (int i = 0; i < H; ++i, c += c_row) {
        for (int v = 0; v < V; ++v) store(c + v * kLanes<T>, SumDepth<T>::narrowed(sums + (i * V + v) * 2 * L));
    }
}

// kRow: elements from a row of c to the next where they are known, so that addresses are; else 0.
template <class T, int H, int V, class Multiply, int kPitch, int kRow>
THEW_INLINE void product(const T* a, std::int64_t ld, const T* b, std::int64_t k, Ahead ahead, T* c, std::int64_t c_row,
                         bool adds) {
    if constexpr (kRow > 0) c_row = kRow;
    if constexpr (SumDepth<T>::kMost > 0) {
        if (k > SumDepth<T>::kMost) return product_in_parts<T, H, V, Multiply>(a, b, k, c, c_row);
    }
    Vec<T> acc[H][V];
    if (adds) {
        const T* before = c;
        unroll<H>([&](auto i) THEW_FLAT {
            unroll<V>([&](auto v) THEW_FLAT { acc[i][v] = load(before + v * kLanes<T>); });
            before += c_row;
            if constexpr (kRow == 0) THEW_PIN_POINTER(before);
        });
    } else if constexpr (Multiply::kStarts) {
        constexpr std::int64_t kFirst = Multiply::template kDepth<Plain<T>>;
        Multiply::template start<Plain<T>, H, V>(a, b, acc);
        a += kFirst * Multiply::kPanelRows;
        b += kFirst * V * kLanes<T>;
        k -= kFirst;
    } else {
        unroll<H * V>([&](auto n) THEW_FLAT { acc[n / V][n % V] = Vec<T>{}; });
    }
    auto request = [&]() THEW_FLAT {
        unroll<kAheadLines>([&](auto line) THEW_FLAT { __builtin_prefetch(ahead.at + line * 64, 0, 2); });
        ahead.at += ahead.step;
    };
    constexpr std::int64_t kStep = kPitch > 0 ? kPitch : 1;
    Multiply::template multiply<Plain<T>, H, V, false>(a, kPitch > 0 ? 1 : ld, kStep, b, k, request, acc);
    unroll<H>([&](auto i) THEW_FLAT {
        unroll<V>([&](auto v) THEW_FLAT { store(c + v * kLanes<T>, acc[i][v]); });
        c += c_row;
        if constexpr (kRow == 0) THEW_PIN_POINTER(c);
    });
}

// All panels by `kernel`, which takes one.
template <class T, class Kernel>
THEW_INLINE void each_product(const Kernel& kernel, ProductPanels<T> panels, AheadTo& ahead) {
    for (; panels.count > 0; --panels.count, panels.a += panels.a_panel, panels.c += panels.c_panel) {
        kernel(panels.a, panels.ld, panels.b, panels.k, ahead, panels.c, panels.c_row, panels.adds);
        ahead.advance(panels.k / 4);
    }
}

template <class T, auto kProduct>
void product_panels(const ProductPanels<T>& panels, AheadTo& ahead) {
    each_product(kProduct, panels, ahead);
}

// One kernel for each height and width of the trunk's tile: of[rows - 1][vectors - 1].
template <class T, class Tiles, int kPitch, int kRow>
struct ProductKernels {
    static constexpr int H = Tiles::kRows, V = Tiles::kPanel / kLanes<T>;
    ProductKernel<T> of[H][V];

    constexpr ProductKernels() : of() { fill(std::make_integer_sequence<int, H * V>{}); }
    THEW_INLINE void multiply(int rows, int vectors, const ProductPanels<T>& panels, AheadTo& ahead) const {
        const ProductKernel<T> kernel = of[rows - 1][vectors - 1];
        if constexpr (kLaneMultiply) {
            kernel(panels, ahead);
        } else {
            each_product(kernel, panels, ahead);
        }
    }

private:
    template <int... I>
    constexpr void fill(std::integer_sequence<int, I...>) {
        ((of[I / V][I % V] = kernel<product<T, I / V + 1, I % V + 1, typename Tiles::Multiply, kPitch, kRow>>()), ...);
    }
    template <auto kProduct>
    static constexpr ProductKernel<T> kernel() {
        if constexpr (kLaneMultiply) {
            return product_panels<T, kProduct>;
        } else {
            return kProduct;
        }
    }
};

}  // namespace
}  // namespace thew
