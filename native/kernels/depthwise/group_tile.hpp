// The micro-kernels of narrow groups: a tile of output pixels for one vector of output channels, which spans several
// groups or lies within one. Sums go over the inputs of a group, then over taps; for each input a pixel's vector is
// spread so that every lane holds that input of its own group, and the spread pixel serves all outputs it reaches.
#pragma once

#include <type_traits>

#include "kernels/depthwise/contract.hpp"
#include "simd/spread.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

template <class In, class T>
struct GroupTileArgs {
    const In* const* pixels;  // in the tile's own order, see GroupTile
    std::int64_t from;        // the channel of a pixel where the vector's groups begin
    T* const* out;            // one an output pixel, row by row
    std::int64_t to;          // the element of it where the vector is written
    const T* block;           // bias, then for each input of a group a line of weights a tap
    std::int64_t inputs, taps;
    T low, high;
};

// A kernel, its outputs, and the pixels it reads: `runs` runs of `run` pixels for each of `rows` rows.
template <class In, class T>
struct GroupTile {
    void (*compute)(const GroupTileArgs<In, T>&);
    int th, tw;
    std::int64_t rows, row_step, runs, run_step, run, pixel_step;

    std::int64_t pixel_count() const { return rows * runs * run; }
};

// Whole numbers are clamped where they are counted in y's steps.
template <class In, class T, int Outputs>
THEW_INLINE void write_tile(const GroupTileArgs<In, T>& args, const Vec<T> (&sums)[Outputs]) {
    const Vec<T> low = splat(args.low), high = splat(args.high);
    T* const* out = args.out;
    const std::int64_t to = args.to;
    unroll<Outputs>([&](auto i) THEW_FLAT {
        if constexpr (std::is_integral_v<T>) {
            store(out[i] + to, sums[i]);
        } else {  // NaN stays NaN
            store(out[i] + to, lower_to<T>(raise_to<T>(sums[i], low), high));
        }
    });
}

// K×K taps, stride S both ways, TH×TW outputs.
template <class Spread, int K, int S, int TH, int TW>
struct WindowGroups {
    using In = typename Spread::In;
    using T = typename Spread::Sum;
    static constexpr int kRows = (TH - 1) * S + K, kColumns = (TW - 1) * S + K;

    static GroupTile<In, T> tile() { return {compute, TH, TW, kRows, 1, 1, 0, kColumns, 1}; }

    static __attribute__((noinline)) void compute(const GroupTileArgs<In, T>& args) {
        constexpr int kAtOnce = Spread::kAtOnce, kLine = kLanes<T>;
        const Spread spread(args.inputs);
        const In* const* pixels = args.pixels;
        const T* weights = args.block + kLine;
        const std::int64_t count = args.inputs, from = args.from;
        Vec<T> sums[TH * TW];
        unroll<TH * TW>([&](auto i) THEW_FLAT { sums[i] = load(args.block); });
        for (std::int64_t i = 0; i < count; i += kAtOnce, weights += kAtOnce * K * K * kLine) {
            THEW_PIN_POINTER(pixels);  // else gcc copies all of the table to the stack before the loop
            const auto inputs = spread.inputs(from, i);
            unroll<kRows>([&](auto r) THEW_FLAT {
                const auto row = inputs.template read<kColumns>(pixels + r * kColumns);
                unroll<kAtOnce>([&](auto input) THEW_FLAT {
                    unroll<kColumns>([&](auto q) THEW_FLAT {
                        const Vec<T> pixel = row(q);
                        unroll<TH>([&](auto dy) THEW_FLAT {
                            unroll<TW>([&](auto dx) THEW_FLAT {
                                constexpr int ky = r - dy * S, kx = q - dx * S;
                                if constexpr (ky >= 0 && ky < K && kx >= 0 && kx < K) {
                                    const T* line = weights + ((input * K + ky) * K + kx) * kLine;
                                    Spread::template multiply_add<input>(sums[dy * TW + dx], load(line), pixel);
                                }
                            });
                        });
                    });
                });
            });
        }
        write_tile(args, sums);
    }
};

// Any window, stride and dilation: TW outputs of one row.
template <class Spread, int TW>
struct TapsGroups {
    using In = typename Spread::In;
    using T = typename Spread::Sum;

    static GroupTile<In, T> tile(const DepthwiseArgs& args) {
        return {compute, 1, TW, args.kh, args.dilation_h, args.kw, args.dilation_w, TW, args.stride_w};
    }

    static __attribute__((noinline)) void compute(const GroupTileArgs<In, T>& args) {
        constexpr int kAtOnce = Spread::kAtOnce, kLine = kLanes<T>;
        const Spread spread(args.inputs);
        const T* weights = args.block + kLine;
        const std::int64_t count = args.inputs, from = args.from, taps = args.taps;
        Vec<T> sums[TW];
        unroll<TW>([&](auto i) THEW_FLAT { sums[i] = load(args.block); });
        for (std::int64_t i = 0; i < count; i += kAtOnce, weights += (kAtOnce - 1) * taps * kLine) {
            const auto inputs = spread.inputs(from, i);
            const In* const* pixels = args.pixels;
            for (std::int64_t tap = 0; tap < taps; ++tap, pixels += TW, weights += kLine) {
                const auto row = inputs.template read<TW>(pixels);
                unroll<kAtOnce>([&](auto input) THEW_FLAT {
                    const Vec<T> weight = load(weights + input * taps * kLine);
                    unroll<TW>([&](auto q)
                                   THEW_FLAT { Spread::template multiply_add<input>(sums[q], weight, row(q)); });
                });
            }
        }
        write_tile(args, sums);
    }
};

}  // namespace
}  // namespace thew
