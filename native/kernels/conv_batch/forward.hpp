// Rows of y: H channels by P pixels of one vector of images in registers. Pixels whose windows lie inside the image go
// P at a time; those at the left and right edge one by one, over the taps they have.
#pragma once

#include "kernels/conv_batch/ranges.hpp"
#include "simd/activation.hpp"

namespace thew {
namespace {

// Registers: H·P sums, P pixels, one weight.
inline constexpr int kTileChannels = 6, kTilePixels = kVectorRegisters == 32 ? 4 : 2;

template <class T>
struct Pixels {
    const T* x;  // of the first pixel's tap (0, 0), channel 0
    const T* w;  // packed weights of the tile's channels
    const T* bias;
    T* y;  // of the first channel and pixel
    Range rows, columns;
};

// Activations beyond relu, over the pixels just stored: kept out of the tiles, of which there are many.
template <class T>
__attribute__((noinline)) void activate_pixels(const BatchConv& conv, T* y, int channels, int count) {
    const T p0 = static_cast<T>(conv.epilogue.p0), p1 = static_cast<T>(conv.epilogue.p1);
    for (int h = 0; h < channels; ++h) {
        for (int p = 0; p < count; ++p) {
            T* at = y + h * conv.y_c + p * conv.y_w;
            store(at, activate<T>(conv.epilogue.activation, load(at), p0, p1));
        }
    }
}

template <class T, int H, int P>
void pixels(const BatchConv& conv, const Pixels<T>& at) {
    Vec<T> acc[H][P];
    unroll<H>([&](auto h) THEW_FLAT {
        const Vec<T> start = at.bias ? splat(at.bias[h * conv.bias_stride]) : Vec<T>{};
        unroll<P>([&](auto p) THEW_FLAT { acc[h][p] = start; });
    });
    const std::int64_t step = conv.stride_w * conv.x_w, tap_step = conv.dilation_w * conv.x_w;
    for (std::int64_t c = 0; c < conv.c; ++c) {
        for (std::int64_t kh = at.rows.first; kh < at.rows.last; ++kh) {
            const T* from = at.x + c * conv.x_c + kh * conv.dilation_h * conv.x_h + at.columns.first * tap_step;
            const T* w = at.w + ((c * conv.kh + kh) * conv.kw + at.columns.first) * H;
            for (std::int64_t kw = at.columns.first; kw < at.columns.last; ++kw, from += tap_step, w += H) {
                Vec<T> in[P];
                unroll<P>([&](auto p) THEW_FLAT { in[p] = load(from + p * step); });
                unroll<H>([&](auto h) THEW_FLAT {
                    const Vec<T> weight = splat(w[h]);
                    unroll<P>([&](auto p) THEW_FLAT {
                        acc[h][p] = in[p] * weight + acc[h][p];
                        THEW_PIN(acc[h][p]);
                    });
                });
            }
        }
    }
    if (conv.epilogue.activation == Activation::relu) {
        unroll<H * P>([&](auto i) THEW_FLAT { acc[i / P][i % P] = raise_to<T>(acc[i / P][i % P], Vec<T>{}); });
    }
    unroll<H>([&](auto h) THEW_FLAT {
        T* to = at.y + h * conv.y_c;
        unroll<P>([&](auto p) THEW_FLAT { store(to + p * conv.y_w, acc[h][p]); });
    });
    if (conv.epilogue.activation > Activation::relu) activate_pixels(conv, at.y, H, P);
}

template <class T>
using PixelsKernel = void (*)(const BatchConv& conv, const Pixels<T>& at);

template <class T>
struct PixelsKernels {
    PixelsKernel<T> kernels[kTileChannels][kTilePixels];

    constexpr PixelsKernels() : kernels() { fill(std::make_integer_sequence<int, kTileChannels * kTilePixels>{}); }

private:
    template <int... I>
    constexpr void fill(std::integer_sequence<int, I...>) {
        ((kernels[I / kTilePixels][I % kTilePixels] = pixels<T, I / kTilePixels + 1, I % kTilePixels + 1>), ...);
    }
};

template <class T>
inline constexpr PixelsKernels<T> kPixels{};

template <class T>
void pack_weights(const BatchConv& conv, const void* from, void* packed) {
    const T* w = static_cast<const T*>(from);
    T* to = static_cast<T*>(packed);
    const ChannelTiles tiles(conv.oc, kTileChannels);
    for (std::int64_t tile = 0; tile < tiles.count; ++tile) {
        const std::int64_t first = tiles.first(tile);
        for (std::int64_t c = 0; c < conv.c; ++c) {
            for (std::int64_t kh = 0; kh < conv.kh; ++kh) {
                for (std::int64_t kw = 0; kw < conv.kw; ++kw) {
                    const T* tap = w + c * conv.w_c + kh * conv.w_h + kw * conv.w_w;
                    for (int h = 0; h < tiles.height(tile); ++h) *to++ = tap[(first + h) * conv.w_o];
                }
            }
        }
    }
}

// One row of y for one vector of images.
template <class T>
struct OutputRow {
    const BatchConv& conv;
    const T *x, *packed, *bias;  // x: of the row's tap (0, 0) of pixel 0
    T* y;
    Range rows;

    void tile(std::int64_t first, int height, int count, std::int64_t j, Range columns) const {
        const std::int64_t taps = conv.c * conv.kh * conv.kw;
        const Pixels<T> at{x + j * conv.stride_w * conv.x_w,
                           packed + first * taps,
                           bias ? bias + first * conv.bias_stride : nullptr,
                           y + first * conv.y_c + j * conv.y_w,
                           rows,
                           columns};
        kPixels<T>.kernels[height - 1][count - 1](conv, at);
    }

    void run() const {
        const ChannelTiles tiles(conv.oc, kTileChannels);
        const std::int64_t span = (conv.kw - 1) * conv.dilation_w + 1;
        const Range inside = outputs_inside(-conv.pad_w, span, conv.stride_w, conv.out_w, conv.in_w);
        for (std::int64_t t = 0; t < tiles.count; ++t) {
            const std::int64_t first = tiles.first(t);
            const int height = tiles.height(t);
            for (std::int64_t j = 0; j < conv.out_w;) {
                if (j < inside.first || j >= inside.last) {
                    const std::int64_t start = j * conv.stride_w - conv.pad_w;
                    tile(first, height, 1, j, taps_inside(start, conv.dilation_w, conv.kw, conv.in_w));
                    ++j;
                    continue;
                }
                const std::int64_t left = inside.last - j;
                const int count = static_cast<int>(left < kTilePixels ? left : kTilePixels);
                tile(first, height, count, j, {0, conv.kw});
                j += count;
            }
        }
    }
};

template <class T>
void run_forward(const BatchConv& conv, const void* x, const void* packed, const void* bias, void* y,
                 const Workers& workers) {
    auto body = [&](std::int64_t task, int) {
        const std::int64_t i = task % conv.out_h, n = task / conv.out_h * kLanes<T>;
        const std::int64_t start = i * conv.stride_h - conv.pad_h;
        const T* from = static_cast<const T*>(x) + n + start * conv.x_h - conv.pad_w * conv.x_w;
        OutputRow<T>{conv,
                     from,
                     static_cast<const T*>(packed),
                     static_cast<const T*>(bias),
                     static_cast<T*>(y) + n + i * conv.y_h,
                     taps_inside(start, conv.dilation_h, conv.kh, conv.in_h)}
            .run();
    };
    parallel_for(workers, conv.n / kLanes<T> * conv.out_h, body);
}

}  // namespace
}  // namespace thew
