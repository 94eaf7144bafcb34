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

// Neighbouring tiles whose pixels all lie in the image and whose outputs all count: first pixel and output, strides in
// elements.
template <class T>
struct InteriorTiles {
    const T* x;
    std::int64_t x_h, x_w;
    T* y;
    std::int64_t y_h, y_w;
    std::int64_t count;
};

template <class T>
THEW_INLINE Vec<T> clamp(Vec<T> v, Vec<T> low, Vec<T> high) {  // NaN stays NaN
    return lower_to<T>(raise_to<T>(v, low), high);
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
        each_channel(args, [=](const auto& sum, std::int64_t c) THEW_FLAT {
            sum([=](auto r, auto q) THEW_FLAT { return load(pixels[r * kColumns + q] + c); },
                [=](auto i, Vec<T> value) THEW_FLAT { store(out[i] + c, value); });
        });
    }

    // The same for tiles inside the image on all sides, which need no table: a pointer walks along each row. A vector
    // of channels stays for all tiles, so that its weights are in registers.
    static __attribute__((noinline)) void compute_interior(const TileArgs<T>& args, const InteriorTiles<T>& at) {
        const T* x = at.x;
        T* y = at.y;
        const std::int64_t x_h = at.x_h, x_w = at.x_w, y_h = at.y_h, y_w = at.y_w, count = at.count;
        each_channel(args, [=](const auto& sum, std::int64_t c) THEW_FLAT {
            const T* from = x + c;
            T* to = y + c;
            for (std::int64_t t = 0; t < count; ++t, from += TW * S * x_w, to += TW * y_w) {
                const T* pixel = nullptr;
                T* result = nullptr;
                sum(
                    [&](auto r, auto q) THEW_FLAT {
                        pixel = q == 0 ? from + r * x_h : pixel + x_w;
                        THEW_PIN_POINTER(pixel);
                        return load(pixel);
                    },
                    [&](auto i, Vec<T> value) THEW_FLAT {
                        result = i % TW == 0 ? to + i / TW * y_h : result + y_w;
                        THEW_PIN_POINTER(result);
                        store(result, value);
                    });
            }
        });
    }

private:
    // Where registers allow, the weights of a vector of channels are loaded before its tiles.
    static constexpr bool kKeepsWeights = KH * KW + TH * TW + 4 <= kVectorRegisters;

    // For each vector of channels body(sum, c), where sum(get, put) computes a tile: get(row, column) gives its pixels,
    // in order; put(output, value) takes the results, in order.
    template <class Body>
    static THEW_INLINE void each_channel(const TileArgs<T>& args, const Body& body) {
        const T* lines = args.lines;  // all in locals: vector stores may alias `args`
        const std::int64_t line = args.line, channels = args.channels;
        const Vec<T> low = splat(args.low), high = splat(args.high);
        for (std::int64_t c = 0; c < channels; c += kLanes<T>) {
            const T* bias = lines + c;
            const T* weight = bias + line;
            Vec<T> kept[kKeepsWeights ? KH * KW : 1];
            if constexpr (kKeepsWeights) unroll<KH * KW>([&](auto k) THEW_FLAT { kept[k] = load(weight + k * line); });
            const auto sum = [&](auto get, auto put) THEW_FLAT {
                sum_tile(
                    load(bias),
                    [&](auto k) THEW_FLAT {
                        if constexpr (kKeepsWeights) return kept[k];
                        return load(weight + k * line);
                    },
                    get, [&](auto i, Vec<T> value) THEW_FLAT { put(i, clamp<T>(value, low, high)); });
            };
            body(sum, c);
        }
    }

    template <class Weight, class Get, class Put>
    static THEW_INLINE void sum_tile(Vec<T> bias, const Weight& weight, Get get, const Put& put) {
        Vec<T> sums[TH * TW];
        unroll<TH * TW>([&](auto i) THEW_FLAT { sums[i] = bias; });
        unroll<kRows>([&](auto r) THEW_FLAT {
            unroll<kColumns>([&](auto q) THEW_FLAT {
                const Vec<T> pixel = get(r, q);
                unroll<TH>([&](auto dy) THEW_FLAT {
                    unroll<TW>([&](auto dx) THEW_FLAT {
                        constexpr int ky = r - dy * S, kx = q - dx * S;
                        if constexpr (ky >= 0 && ky < KH && kx >= 0 && kx < KW) {
                            sums[dy * TW + dx] += pixel * weight(Constant<ky * KW + kx>{});
                        }
                    });
                });
            });
        });
        unroll<TH * TW>([&](auto i) THEW_FLAT { put(i, sums[i]); });
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
