// The gradient of the weights: O channels of dy by K taps along the width in registers, summed over the vectors of
// pixels of all images; the lanes together last. A task is one (tile of o, c).
#pragma once

#include "kernels/conv_planes/planes.hpp"
#include "simd/sum_lanes.hpp"

namespace thew {
namespace {

inline constexpr int kTileTaps = 5, kTileGradients = kVectorRegisters == 32 ? 4 : 2;

template <class T>
struct PlaneTaps {
    const T *dy, *x;  // copies; dy of the tile's first channel, x of channel c, tap (kh, first tap), image 0
    T* sums;          // of the tile's first channel and tap: a vector each
    std::int64_t kh;
};

// dy as it is copied: rows of whole vectors, zeros behind the image.
inline std::int64_t gradient_plane(const BatchConv& conv, std::int64_t width) { return conv.out_h * width; }

template <class T, int O, int K>
void plane_taps(const BatchConv& conv, const Planes& planes, const PlaneTaps<T>& at) {
    Vec<T> acc[O][K];
    unroll<O * K>([&](auto i) THEW_FLAT { acc[i / K][i % K] = Vec<T>{}; });
    const std::int64_t width = planes.vectors * kLanes<T>, plane = gradient_plane(conv, width);
    const Range rows = outputs_inside(at.kh * conv.dilation_h - conv.pad_h, 1, 1, conv.out_h, conv.in_h);
    for (std::int64_t n = 0; n < conv.n; ++n) {
        for (std::int64_t i = rows.first; i < rows.last; ++i) {
            const T* dy = at.dy + n * conv.oc * plane + i * width;
            const T* x = at.x + (n * conv.c * planes.rows + i) * planes.pitch;
            for (std::int64_t v = 0; v < planes.vectors; ++v, dy += kLanes<T>, x += kLanes<T>) {
                Vec<T> in[K];
                unroll<K>([&](auto k) THEW_FLAT {
                    in[k] = load(x + k * conv.dilation_w);
                    THEW_PIN(in[k]);  // else every product loads it again
                });
                unroll<O>([&](auto o) THEW_FLAT {
                    const Vec<T> given = load(dy + o * plane);
                    unroll<K>([&](auto k) THEW_FLAT {
                        acc[o][k] = given * in[k] + acc[o][k];
                        THEW_PIN(acc[o][k]);
                    });
                });
            }
        }
    }
    const std::int64_t taps = conv.kh * conv.kw;
    unroll<O * K>([&](auto i) THEW_FLAT { store(at.sums + (i / K * taps + i % K) * kLanes<T>, acc[i / K][i % K]); });
}

template <class T>
using PlaneTapsKernel = void (*)(const BatchConv& conv, const Planes& planes, const PlaneTaps<T>& at);

template <class T>
struct PlaneTapsKernels {
    PlaneTapsKernel<T> kernels[kTileGradients][kTileTaps];

    constexpr PlaneTapsKernels() : kernels() { fill(std::make_integer_sequence<int, kTileGradients * kTileTaps>{}); }

private:
    template <int... I>
    constexpr void fill(std::integer_sequence<int, I...>) {
        ((kernels[I / kTileTaps][I % kTileTaps] = plane_taps<T, I / kTileTaps + 1, I % kTileTaps + 1>), ...);
    }
};

template <class T>
inline constexpr PlaneTapsKernels<T> kPlaneTaps{};

// to[i]: the sum of vector i of `count`.
template <class T>
void sum_vectors(const T* from, T* to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; i += kLanes<T>, from += kLanes<T> * kLanes<T>, to += kLanes<T>) {
        const std::int64_t left = count - i;
        Vec<T> v[kLanes<T>];
        unroll<kLanes<T>>([&](auto k) THEW_FLAT { v[k] = k < left ? load(from + k * kLanes<T>) : Vec<T>{}; });
        if (left >= kLanes<T>) {
            store(to, sum_lanes<T>(v));
        } else {
            store_partial(to, sum_lanes<T>(v), static_cast<int>(left));
        }
    }
}

template <class T>
std::int64_t sums_of(const BatchConv& conv) {  // elements of one worker's sums
    return kTileGradients * conv.kh * conv.kw * kLanes<T>;
}

template <class T>
std::int64_t grad_weight_bytes(const BatchConv& conv, int threads) {
    const Planes planes = Planes::of(conv, T{});
    const std::int64_t gradient = conv.n * conv.oc * gradient_plane(conv, planes.vectors * kLanes<T>);
    return (planes.elements(conv) + gradient + threads * sums_of<T>(conv)) * static_cast<std::int64_t>(sizeof(T));
}

template <class T>
void copy_gradient(const BatchConv& conv, std::int64_t width, const T* dy, T* to, const Workers& workers) {
    auto body = [&](std::int64_t plane, int) {
        const T* from = dy + plane / conv.oc * conv.y_n + plane % conv.oc * conv.y_c;
        T* row = to + plane * gradient_plane(conv, width);
        for (std::int64_t i = 0; i < conv.out_h; ++i) {
            copy_row(row + i * width, from + i * conv.y_h, 0, conv.out_w, width);
        }
    };
    parallel_for(workers, conv.n * conv.oc, body);
}

template <class T>
void run_grad_weight(const BatchConv& conv, const void* dy, const void* x, void* dw, const Workers& workers,
                     std::byte* scratch) {
    const Planes planes = Planes::of(conv, T{});
    const std::int64_t width = planes.vectors * kLanes<T>, taps = conv.kh * conv.kw;
    T* images = reinterpret_cast<T*>(scratch);
    T* gradient = images + planes.elements(conv);
    T* sums = gradient + conv.n * conv.oc * gradient_plane(conv, width);
    copy_planes(conv, planes, static_cast<const T*>(x), images, workers);
    copy_gradient(conv, width, static_cast<const T*>(dy), gradient, workers);
    const ChannelTiles tiles(conv.oc, kTileGradients), runs(conv.kw, kTileTaps);
    auto body = [&](std::int64_t task, int worker) {
        const std::int64_t c = task % conv.c, tile = task / conv.c, first = tiles.first(tile);
        T* own = sums + worker * sums_of<T>(conv);
        for (std::int64_t kh = 0; kh < conv.kh; ++kh) {
            for (std::int64_t run = 0; run < runs.count; ++run) {
                const std::int64_t kw = runs.first(run);
                const std::int64_t tap = (c * planes.rows + kh * conv.dilation_h) * planes.pitch + kw * conv.dilation_w;
                const PlaneTaps<T> at{gradient + first * gradient_plane(conv, width), images + tap,
                                      own + (kh * conv.kw + kw) * kLanes<T>, kh};
                kPlaneTaps<T>.kernels[tiles.height(tile) - 1][runs.height(run) - 1](conv, planes, at);
            }
        }
        for (int o = 0; o < tiles.height(tile); ++o) {
            T* to = static_cast<T*>(dw) + (first + o) * conv.w_o + c * conv.w_c;
            sum_vectors(own + o * taps * kLanes<T>, to, taps);
        }
    };
    parallel_for(workers, tiles.count * conv.c, body);
}

}  // namespace
}  // namespace thew
