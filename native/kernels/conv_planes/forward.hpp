// H channels by P vectors of pixels of y in registers, over all taps. A tile's vectors follow one another through the
// rows of y; taps whose rows lie outside the image for all of them are left out.
#pragma once

#include "kernels/conv_planes/planes.hpp"
#include "simd/activation.hpp"

namespace thew {
namespace {

inline constexpr int kTileChannels = 6, kTileVectors = kVectorRegisters == 32 ? 4 : 2;

template <class T>
struct PlaneTile {
    const T *x, *w, *bias;  // x: the copy's image; w, bias: of the tile's first channel
    T* y;                   // of the tile's first channel
    std::int64_t first;     // vector of pixels
};

template <class T>
__attribute__((noinline)) void activate_vector(const Epilogue& epilogue, Vec<T>& value) {
    value = activate<T>(epilogue.activation, value, static_cast<T>(epilogue.p0), static_cast<T>(epilogue.p1));
}

template <class T, int H, int P>
void plane_tile(const BatchConv& conv, const Planes& planes, const PlaneTile<T>& at) {
    const T* from[P];
    std::int64_t row[P], column[P];
    unroll<P>([&](auto p) THEW_FLAT {
        row[p] = (at.first + p) / planes.vectors, column[p] = (at.first + p) % planes.vectors * kLanes<T>;
        from[p] = at.x + row[p] * planes.pitch + column[p];
    });
    Vec<T> acc[H][P];
    unroll<H>([&](auto h) THEW_FLAT {
        const Vec<T> start = at.bias ? splat(at.bias[h * conv.bias_stride]) : Vec<T>{};
        unroll<P>([&](auto p) THEW_FLAT { acc[h][p] = start; });
    });
    const Range lowest = taps_inside(row[0] - conv.pad_h, conv.dilation_h, conv.kh, conv.in_h);
    const Range highest = taps_inside(row[P - 1] - conv.pad_h, conv.dilation_h, conv.kh, conv.in_h);
    for (std::int64_t c = 0; c < conv.c; ++c) {
        for (std::int64_t kh = highest.first; kh < lowest.last; ++kh) {
            std::int64_t tap = (c * planes.rows + kh * conv.dilation_h) * planes.pitch;
            const T* w = at.w + c * conv.w_c + kh * conv.w_h;
            for (std::int64_t kw = 0; kw < conv.kw; ++kw, tap += conv.dilation_w, w += conv.w_w) {
                Vec<T> in[P];
                unroll<P>([&](auto p) THEW_FLAT { in[p] = load(from[p] + tap); });
                unroll<H>([&](auto h) THEW_FLAT {
                    const Vec<T> weight = splat(w[h * conv.w_o]);
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
    unroll<P>([&](auto p) THEW_FLAT {
        const std::int64_t left = conv.out_w - column[p];
        T* to = at.y + row[p] * conv.y_h + column[p];
        unroll<H>([&](auto h) THEW_FLAT {
            Vec<T> value = acc[h][p];
            if (conv.epilogue.activation > Activation::relu) activate_vector<T>(conv.epilogue, value);
            if (left >= kLanes<T>) {
                store(to + h * conv.y_c, value);
            } else {
                store_partial(to + h * conv.y_c, value, static_cast<int>(left));
            }
        });
    });
}

template <class T>
using PlaneKernel = void (*)(const BatchConv& conv, const Planes& planes, const PlaneTile<T>& at);

template <class T>
struct PlaneKernels {
    PlaneKernel<T> kernels[kTileChannels][kTileVectors];

    constexpr PlaneKernels() : kernels() { fill(std::make_integer_sequence<int, kTileChannels * kTileVectors>{}); }

private:
    template <int... I>
    constexpr void fill(std::integer_sequence<int, I...>) {
        ((kernels[I / kTileVectors][I % kTileVectors] = plane_tile<T, I / kTileVectors + 1, I % kTileVectors + 1>),
         ...);
    }
};

template <class T>
inline constexpr PlaneKernels<T> kPlanes{};

template <class T>
std::int64_t forward_bytes(const BatchConv& conv) {
    return Planes::of(conv, T{}).elements(conv) * static_cast<std::int64_t>(sizeof(T));
}

template <class T>
void run_forward(const BatchConv& conv, const void* x, const void* w, const void* bias, void* y, const Workers& workers,
                 std::byte* scratch) {
    const Planes planes = Planes::of(conv, T{});
    T* copy = reinterpret_cast<T*>(scratch);
    copy_planes(conv, planes, static_cast<const T*>(x), copy, workers);
    const ChannelTiles channels(conv.oc, kTileChannels), runs(conv.out_h * planes.vectors, kTileVectors);
    auto body = [&](std::int64_t task, int) {
        const std::int64_t run = task % runs.count, tile = task / runs.count % channels.count;
        const std::int64_t n = task / runs.count / channels.count, first = channels.first(tile);
        const T* biases = static_cast<const T*>(bias);
        const PlaneTile<T> at{copy + n * conv.c * planes.rows * planes.pitch,
                              static_cast<const T*>(w) + first * conv.w_o,
                              biases ? biases + first * conv.bias_stride : nullptr,
                              static_cast<T*>(y) + n * conv.y_n + first * conv.y_c, runs.first(run)};
        kPlanes<T>.kernels[channels.height(tile) - 1][runs.height(run) - 1](conv, planes, at);
    };
    parallel_for(workers, conv.n * channels.count * runs.count, body);
}

}  // namespace
}  // namespace thew
