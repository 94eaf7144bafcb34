// Register tiles of the products at one point: the trunk's loops (kernels/matmul/multiply.hpp), and results stored as
// they are, since what a convolution adds and applies comes after the transform of outputs.
#pragma once

#include "kernels/matmul/tile.hpp"

namespace thew {
namespace {

// c[row · c_row + column] = Σ_k a · b, plus c where it adds, for H rows and V vectors of columns; operands as the
// multiplication takes them. a is packed as rows `ld` apart, or (kPitch > 0) as columns of kPitch elements.
template <class T>
using ProductKernel = void (*)(const T* a, std::int64_t ld, const T* b, std::int64_t k, Ahead ahead, T* c,
                               std::int64_t c_row, bool adds);

template <class T, int H, int V, class Multiply, int kPitch>
void product(const T* a, std::int64_t ld, const T* b, std::int64_t k, Ahead ahead, T* c, std::int64_t c_row,
             bool adds) {
    Vec<T> acc[H][V];
    if (adds) {
        const T* before = c;
        unroll<H>([&](auto i) THEW_FLAT {
            unroll<V>([&](auto v) THEW_FLAT { acc[i][v] = load(before + v * kLanes<T>); });
            before += c_row;
            THEW_PIN_POINTER(before);
        });
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
        THEW_PIN_POINTER(c);
    });
}

// One kernel for each height and width of the trunk's tile: of[rows - 1][vectors - 1].
template <class T, class Tiles, int kPitch>
struct ProductKernels {
    static constexpr int H = Tiles::kRows, V = Tiles::kPanel / kLanes<T>;
    ProductKernel<T> of[H][V];

    constexpr ProductKernels() : of() { fill(std::make_integer_sequence<int, H * V>{}); }

private:
    template <int... I>
    constexpr void fill(std::integer_sequence<int, I...>) {
        ((of[I / V][I % V] = product<T, I / V + 1, I % V + 1, typename Tiles::Multiply, kPitch>), ...);
    }
};

}  // namespace
}  // namespace thew
