// The gradient of the weights: O channels of dy by K taps along the width in registers, summed over pixels and images,
// the lanes together last. A task is one (tile of o, c, kh).
#pragma once

#include "kernels/conv_batch/ranges.hpp"

namespace thew {
namespace {

// Registers: O·K sums, K pixels of x, one of dy.
inline constexpr int kTileTaps = 5, kTileGradients = kVectorRegisters == 32 ? 4 : 2;

template <class T>
struct Taps {
    const T* dy;  // of the tile's first channel, image 0
    const T* x;   // of channel c, image 0, moved by the padding along the width and by the first tap
    T* dw;        // of the tile's first channel, channel c, tap (kh, first tap)
    std::int64_t kh, first;
};

template <class T, int O, int K>
void taps(const BatchConv& conv, const Taps<T>& at) {
    Vec<T> acc[O][K];
    unroll<O * K>([&](auto i) THEW_FLAT { acc[i / K][i % K] = Vec<T>{}; });
    const std::int64_t tap_step = conv.dilation_w * conv.x_w, step = conv.stride_w * conv.x_w;
    const std::int64_t shift = at.first * conv.dilation_w - conv.pad_w, down = at.kh * conv.dilation_h - conv.pad_h;
    const Range inside = outputs_inside(shift, (K - 1) * conv.dilation_w + 1, conv.stride_w, conv.out_w, conv.in_w);
    const Range rows = outputs_inside(down, 1, conv.stride_h, conv.out_h, conv.in_h);
    auto edge = [&](const T* dy, const T* x, std::int64_t j) THEW_FLAT {  // the taps that pixel j has
        const Range some = taps_inside(j * conv.stride_w + shift, conv.dilation_w, K, conv.in_w);
        unroll<K>([&](auto k) THEW_FLAT {
            if (k < some.first || k >= some.last) return;
            const Vec<T> in = load(x + j * step + k * tap_step);
            unroll<O>([&](auto o) THEW_FLAT { acc[o][k] = load(dy + o * conv.y_c + j * conv.y_w) * in + acc[o][k]; });
        });
    };
    for (std::int64_t n = 0; n < conv.n; n += kLanes<T>) {
        for (std::int64_t i = rows.first; i < rows.last; ++i) {
            const T* dy = at.dy + n + i * conv.y_h;
            const T* x = at.x + n + (i * conv.stride_h + down) * conv.x_h;
            for (std::int64_t j = 0; j < inside.first; ++j) edge(dy, x, j);
            const T* gradient = dy + inside.first * conv.y_w;
            const T* from = x + inside.first * step;
            for (std::int64_t j = inside.first; j < inside.last; ++j, gradient += conv.y_w, from += step) {
                Vec<T> in[K];
                unroll<K>([&](auto k) THEW_FLAT {
                    in[k] = load(from + k * tap_step);
                    THEW_PIN(in[k]);  // else every product loads it again
                });
                unroll<O>([&](auto o) THEW_FLAT {
                    const Vec<T> given = load(gradient + o * conv.y_c);
                    unroll<K>([&](auto k) THEW_FLAT {
                        acc[o][k] = given * in[k] + acc[o][k];
                        THEW_PIN(acc[o][k]);
                    });
                });
            }
            for (std::int64_t j = inside.last; j < conv.out_w; ++j) edge(dy, x, j);
        }
    }
    T sums[O * K][kLanes<T>];
    unroll<O * K>([&](auto i) THEW_FLAT { store(sums[i], acc[i / K][i % K]); });
    for (int i = 0; i < O * K; ++i) {
        T sum = sums[i][0];
        for (int lane = 1; lane < kLanes<T>; ++lane) sum += sums[i][lane];
        at.dw[i / K * conv.w_o + i % K * conv.w_w] = sum;
    }
}

template <class T>
using TapsKernel = void (*)(const BatchConv& conv, const Taps<T>& at);

template <class T>
struct TapsKernels {
    TapsKernel<T> kernels[kTileGradients][kTileTaps];

    constexpr TapsKernels() : kernels() { fill(std::make_integer_sequence<int, kTileGradients * kTileTaps>{}); }

private:
    template <int... I>
    constexpr void fill(std::integer_sequence<int, I...>) {
        ((kernels[I / kTileTaps][I % kTileTaps] = taps<T, I / kTileTaps + 1, I % kTileTaps + 1>), ...);
    }
};

template <class T>
inline constexpr TapsKernels<T> kTaps{};

template <class T>
void run_grad_weight(const BatchConv& conv, const void* dy, const void* x, void* dw, const Workers& workers) {
    const ChannelTiles tiles(conv.oc, kTileGradients), runs(conv.kw, kTileTaps);
    auto body = [&](std::int64_t task, int) {
        const std::int64_t kh = task % conv.kh, c = task / conv.kh % conv.c, tile = task / conv.kh / conv.c;
        const std::int64_t first = tiles.first(tile);
        for (std::int64_t run = 0; run < runs.count; ++run) {
            const std::int64_t kw = runs.first(run), shift = kw * conv.dilation_w - conv.pad_w;
            const Taps<T> at{static_cast<const T*>(dy) + first * conv.y_c,
                             static_cast<const T*>(x) + c * conv.x_c + shift * conv.x_w,
                             static_cast<T*>(dw) + first * conv.w_o + c * conv.w_c + kh * conv.w_h + kw * conv.w_w, kh,
                             kw};
            kTaps<T>.kernels[tiles.height(tile) - 1][runs.height(run) - 1](conv, at);
        }
    };
    parallel_for(workers, tiles.count * conv.c * conv.kh, body);
}

}  // namespace
}  // namespace thew
