// The depthwise micro-kernels: a tile of output pixels for a run of channels, reading pixels through a table of
// pointers so that padding (pointers to zeros) and edges (pointers to a discarded line) cost no branch in the loop. The
// table idea is that of the indirect convolution of Dukhan (2019), kept here to one tile.
#pragma once

#include "kernels/depthwise/contract.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

template <class T>
struct TileArgs {
    const T* const* pixels;  // Tile::pixel_count(args), in the tile's own order
    T* const* out;           // one an output pixel, row by row
    const T* lines;          // bias, then a line of weights a tap
    std::int64_t line;       // elements from line to line
    std::int64_t taps;
    std::int64_t channels;  // a multiple of kLanes<T>
    T low, high;
};

// A tile whose pixels all lie in the image and whose outputs all count: first pixel and output, strides in elements.
template <class T>
struct InteriorTile {
    const T* x;
    std::int64_t x_h, x_w;
    T* y;
    std::int64_t y_h, y_w;
};

// NaN stays NaN: a comparison with it is false.
template <class T>
THEW_INLINE Vec<T> clamp(Vec<T> v, Vec<T> low, Vec<T> high) {
    v = low > v ? low : v;
    return high < v ? high : v;
}

// KH×KW taps, stride S both ways, TH×TW output pixels: every input pixel of the tile is loaded once and used for all
// outputs that it reaches. Where registers are few TH is 1, so that only one row of weights is live at a time.
template <class T, int KH, int KW, int S, int TH_, int TW_>
struct FixedTile {
    using Element = T;
    static constexpr bool kHasInterior = true;
    static constexpr int TH = TH_, TW = TW_;
    static constexpr int kRows = (TH - 1) * S + KH, kColumns = (TW - 1) * S + KW;

    static std::int64_t pixel_count(const DepthwiseArgs&) { return kRows * kColumns; }

    // The table holds rows × columns pixels: row r lies r · row_step input rows below the tile's first, and so on.
    static std::int64_t rows(const DepthwiseArgs&) { return kRows; }
    static std::int64_t columns(const DepthwiseArgs&) { return kColumns; }
    static std::int64_t row_step(const DepthwiseArgs&) { return 1; }
    static std::int64_t column_of(const DepthwiseArgs&, std::int64_t q) { return q; }

    static __attribute__((noinline)) void compute(const TileArgs<T>& args) {
        const T* const* pixels = args.pixels;
        T* const* out = args.out;
        sum_channels(
            args, [=](auto r, auto q, std::int64_t c) THEW_FLAT { return load(pixels[r * kColumns + q] + c); },
            [=](auto i, std::int64_t c, Vec<T> sum) THEW_FLAT { store(out[i] + c, sum); });
    }

    // The same for a tile inside the image on all sides, which needs no table: a pointer walks along each row.
    static __attribute__((noinline)) void compute_interior(const TileArgs<T>& args, const InteriorTile<T>& at) {
        const T* x = at.x;
        T* y = at.y;
        const std::int64_t x_h = at.x_h, x_w = at.x_w, y_h = at.y_h, y_w = at.y_w;
        const T* pixel = nullptr;
        T* result = nullptr;
        sum_channels(
            args,
            [&](auto r, auto q, std::int64_t c) THEW_FLAT {
                pixel = q == 0 ? x + r * x_h + c : pixel + x_w;
                THEW_PIN_POINTER(pixel);
                return load(pixel);
            },
            [&](auto i, std::int64_t c, Vec<T> sum) THEW_FLAT {
                result = i % TW == 0 ? y + i / TW * y_h + c : result + y_w;
                THEW_PIN_POINTER(result);
                store(result, sum);
            });
    }

private:
    // get(row, column, c) gives the tile's pixels, in order; put(output, c, value) takes the results, in order.
    template <class Get, class Put>
    static THEW_INLINE void sum_channels(const TileArgs<T>& args, Get get, Put put) {
        const T* lines = args.lines;  // all in locals: vector stores may alias `args`
        const std::int64_t line = args.line, channels = args.channels;
        const Vec<T> low = splat(args.low), high = splat(args.high);
        for (std::int64_t c = 0; c < channels; c += kLanes<T>) {
            const T* weight = lines + c;
            Vec<T> sums[TH * TW];
            const Vec<T> bias = load(weight);
            unroll<TH * TW>([&](auto i) THEW_FLAT { sums[i] = bias; });
            weight += line;
            unroll<kRows>([&](auto r) THEW_FLAT {
                unroll<kColumns>([&](auto q) THEW_FLAT {
                    const Vec<T> pixel = get(r, q, c);
                    unroll<TH>([&](auto dy) THEW_FLAT {
                        unroll<TW>([&](auto dx) THEW_FLAT {
                            constexpr int ky = r - dy * S, kx = q - dx * S;
                            if constexpr (ky >= 0 && ky < KH && kx >= 0 && kx < KW) {
                                sums[dy * TW + dx] += pixel * load(weight + (ky * KW + kx) * line);
                            }
                        });
                    });
                });
            });
            unroll<TH * TW>([&](auto i) THEW_FLAT { put(i, c, clamp<T>(sums[i], low, high)); });
        }
    }
};

// Any window, stride and dilation: TW output pixels of one row, tap after tap.
template <class T, int TW_>
struct TapsTile {
    using Element = T;
    static constexpr bool kHasInterior = false;
    static constexpr int TH = 1, TW = TW_;

    static std::int64_t pixel_count(const DepthwiseArgs& args) { return args.kh * args.kw * TW; }
    static std::int64_t rows(const DepthwiseArgs& args) { return args.kh; }
    static std::int64_t columns(const DepthwiseArgs& args) { return args.kw * TW; }
    static std::int64_t row_step(const DepthwiseArgs& args) { return args.dilation_h; }
    static std::int64_t column_of(const DepthwiseArgs& args, std::int64_t q) {
        return q / TW * args.dilation_w + q % TW * args.stride_w;
    }

    static __attribute__((noinline)) void compute(const TileArgs<T>& args) {
        T* const* out = args.out;
        const T* lines = args.lines;
        const std::int64_t line = args.line, channels = args.channels, taps = args.taps;
        const Vec<T> low = splat(args.low), high = splat(args.high);
        for (std::int64_t c = 0; c < channels; c += kLanes<T>) {
            const T* weight = lines + c;
            Vec<T> sums[TW];
            const Vec<T> bias = load(weight);
            unroll<TW>([&](auto i) THEW_FLAT { sums[i] = bias; });
            const T* const* pixels = args.pixels;
            for (std::int64_t tap = 0; tap < taps; ++tap, pixels += TW) {
                weight += line;
                const Vec<T> w = load(weight);
                unroll<TW>([&](auto i) THEW_FLAT { sums[i] += load(pixels[i] + c) * w; });
            }
            unroll<TW>([&](auto i) THEW_FLAT { store(out[i] + c, clamp<T>(sums[i], low, high)); });
        }
    }
};

}  // namespace
}  // namespace thew
