// The depthwise micro-kernels: a tile of output pixels for a run of channels, reading pixels through a table of
// pointers so that padding (pointers to zeros) and edges (pointers to a discarded line) cost no branch in the loop. The
// table idea is that of the indirect convolution of Dukhan (2019), kept here to one tile.
#pragma once

#include "kernels/depthwise/contract.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

// What pixels and results are, and how a tile computes with them: `Values`, see values.hpp.
template <class Values>
struct TileArgs {
    using T = typename Values::T;
    const typename Values::In* const* pixels;  // Tile::pixel_count(args), in the tile's own order
    typename Values::Out* const* out;          // one an output pixel, row by row
    const T* lines;                            // bias, a line of weights a tap, the multiplier
    std::int64_t line;                         // elements from line to line
    std::int64_t taps;
    std::int64_t channels;  // a multiple of kLanes<T>
    T low, high;
    std::int32_t zero;
};

// Sides of a tile where its outermost row or column of pixels lies outside the image.
enum Outside : int { kTop = 1, kBottom = 2, kLeft = 4, kRight = 8 };

// Neighbouring tiles whose pixels all lie in the image, but for `outside` (kLeft of the first, kRight of the last), and
// whose outputs all count: first pixel and output, strides in elements.
template <class Values>
struct InteriorTiles {
    const typename Values::In* x;
    std::int64_t x_h, x_w;
    typename Values::Out* y;
    std::int64_t y_h, y_w;
    std::int64_t count;
    int outside;  // of Outside, where a kernel leaves pixels out (FixedTile::kLeavesOut)
};

// sum += x · y. In asm on Arm, since gcc 12 moves the sums of its own multiply-adds about: 12 moves to 126.
template <class T>
THEW_INLINE void add_product(Vec<T>& sum, Vec<T> x, Vec<T> y) {
#if defined(__aarch64__)
    if constexpr (sizeof(T) == 4) {
        asm("fmla %0.4s, %1.4s, %2.4s" : "+w"(sum) : "w"(x), "w"(y));
    } else {
        asm("fmla %0.2d, %1.2d, %2.2d" : "+w"(sum) : "w"(x), "w"(y));
    }
#else
    sum += x * y;
#endif
}

// KH×KW taps, stride S both ways, TH×TW output pixels: every input pixel of the tile is loaded once and used for all
// outputs that it reaches. Where registers are few TH is 1, so that only one row of weights is live at a time.
template <class Values_, int KH, int KW, int S, int TH_, int TW_>
struct FixedTile {
    using Values = Values_;
    using T = typename Values::T;
    using In = typename Values::In;
    using Out = typename Values::Out;
    static constexpr bool kHasInterior = true;
    // On Arm, where a table's pointers are a load each, tiles that reach one pixel beyond the image need none either;
    // of bytes they do, since what lies there is their zero point.
    static constexpr bool kLeavesOut = kLaneMultiply && sizeof(In) > 1;
    static constexpr int TH = TH_, TW = TW_;
    static constexpr int kRows = (TH - 1) * S + KH, kColumns = (TW - 1) * S + KW;

    static std::int64_t pixel_count(const DepthwiseArgs&) { return kRows * kColumns; }

    // The table holds rows × columns pixels: row r lies r · row_step input rows below the tile's first, and so on.
    static std::int64_t rows(const DepthwiseArgs&) { return kRows; }
    static std::int64_t columns(const DepthwiseArgs&) { return kColumns; }
    static std::int64_t row_step(const DepthwiseArgs&) { return 1; }
    static std::int64_t column_of(const DepthwiseArgs&, std::int64_t q) { return q; }

    static __attribute__((noinline)) void compute(const TileArgs<Values>& args) {
        const In* const* pixels = args.pixels;
        Out* const* out = args.out;
        each_channel(args, [=](const auto& sum, std::int64_t c) THEW_FLAT {
            sum([=](auto r, auto q) THEW_FLAT { return Values::get(pixels[r * kColumns + q] + c); },
                [=](auto i) THEW_FLAT { return out[i] + c; }, [](auto) THEW_FLAT { return false; },
                [](auto) THEW_FLAT { return false; });
        });
    }

    // The same for tiles inside the image on all sides, which need no table: a pointer walks along each row. A vector
    // of channels stays for all tiles, so that its weights are in registers.
    static __attribute__((noinline)) void compute_interior(const TileArgs<Values>& args,
                                                           const InteriorTiles<Values>& at) {
        const In* x = at.x;
        Out* y = at.y;
        const std::int64_t x_h = at.x_h, x_w = at.x_w, y_h = at.y_h, y_w = at.y_w, count = at.count;
        std::int64_t columns[kOffsets], results[kResults];
        unroll<kOffsets>([&](auto q) THEW_FLAT {
            columns[q] = q * x_w * static_cast<std::int64_t>(sizeof(In));
            THEW_PIN_POINTER(columns[q]);
        });
        unroll<kResults>([&](auto q) THEW_FLAT {
            results[q] = q * y_w * static_cast<std::int64_t>(sizeof(Out));
            THEW_PIN_POINTER(results[q]);
        });
        each_channel(args, [&](const auto& sum, std::int64_t c) THEW_FLAT {
            const In* from = x + c;
            Out* to = y + c;
            int outside = count > 1 ? at.outside & ~kRight : at.outside;
            for (std::int64_t left = count; left > 0; --left, from += TW * S * x_w, to += TW * y_w) {
                const In *first = from, *line = from, *pixel = nullptr;
                Out *result = to, *row = to;
                sum(
                    [&](auto, auto q) THEW_FLAT {
                        if constexpr (!kLaneMultiply) {
                            pixel = q == 0 ? line : pixel + x_w;
                            THEW_PIN_POINTER(pixel);
                            return Values::get(pixel);
                        } else {  // addresses of two registers
                            if constexpr (q == kOffsets) {
                                line += kOffsets * x_w;
                                THEW_PIN_POINTER(line);
                            }
                            if constexpr (q % kOffsets == 0) return Values::get(line);
                            const auto* bytes = reinterpret_cast<const std::byte*>(line);
                            return Values::get(reinterpret_cast<const In*>(bytes + columns[q % kOffsets]));
                        }
                    },
                    [&](auto i) THEW_FLAT {
                        if constexpr (kLaneMultiply) {
                            if constexpr (i > 0 && i % TW == 0) row += y_h;
                            if constexpr (i % TW == 0) return row;
                            return reinterpret_cast<Out*>(reinterpret_cast<std::byte*>(row) + results[i % TW]);
                        }
                        result = i % TW == 0 ? to + i / TW * y_h : result + y_w;
                        THEW_PIN_POINTER(result);
                        return result;
                    },
                    [&](auto r) THEW_FLAT {
                        if constexpr (r > 0) first += x_h;
                        THEW_PIN_POINTER(first);
                        line = first;
                        if constexpr (!kLeavesOut) return false;
                        THEW_PIN_POINTER(outside);  // else gcc writes the tile out for each of its values
                        return (r == 0 && (outside & kTop)) || (r == kRows - 1 && (outside & kBottom));
                    },
                    [&](auto q) THEW_FLAT {
                        if constexpr (!kLeavesOut) return false;
                        return (q == 0 && (outside & kLeft)) || (q == kColumns - 1 && (outside & kRight));
                    });
                if constexpr (kLeavesOut) outside = (left == 2 ? at.outside : outside) & ~kLeft;
            }
        });
    }

private:
    // Columns of pixels whose distances from the first are kept in registers; those beyond are counted from the last.
    static constexpr int kOffsets = kLaneMultiply ? 9 : 1, kResults = kLaneMultiply ? TW : 1;
    // Where registers allow, the weights of a vector of channels are loaded before its tiles.
    static constexpr bool kKeepsWeights = KH * KW + TH * TW + 4 <= kVectorRegisters;

    // For each vector of channels body(sum, c), where sum(get, to, no_row, no_column) computes a tile: get(row, column)
    // gives its pixels, in order; to(output) where the results go, in order; no_row(row), at its beginning, and
    // no_column(column) whether it is left out.
    template <class Body>
    static THEW_INLINE void each_channel(const TileArgs<Values>& args, const Body& body) {
        const T* lines = args.lines;  // all in locals: vector stores may alias `args`
        const std::int64_t line = args.line, channels = args.channels;
        const typename Values::Put put(args);
        for (std::int64_t c = 0; c < channels; c += kLanes<T>) {
            const T* bias = lines + c;
            const T* weight = bias + line;
            Vec<T> kept[kKeepsWeights ? KH * KW : 1];
            if constexpr (kKeepsWeights) unroll<KH * KW>([&](auto k) THEW_FLAT { kept[k] = load(weight + k * line); });
            const T* multiplier = bias + (KH * KW + 1) * line;
            const auto sum = [&](auto get, auto to, auto no_row, auto no_column) THEW_FLAT {
                sum_tile(
                    load(bias),
                    [&](auto k) THEW_FLAT {
                        if constexpr (kKeepsWeights) return kept[k];
                        return load(weight + k * line);
                    },
                    get, no_row, no_column, [&](auto i, Vec<T> value) THEW_FLAT { put(to(i), value, multiplier); });
            };
            body(sum, c);
        }
    }

    template <class Weight, class Get, class NoRow, class NoColumn, class Put>
    static THEW_INLINE void sum_tile(Vec<T> bias, const Weight& weight, Get get, NoRow no_row, NoColumn no_column,
                                     const Put& put) {
        Vec<T> sums[TH * TW];
        unroll<TH * TW>([&](auto i) THEW_FLAT { sums[i] = bias; });
        unroll<kRows>([&](auto r) THEW_FLAT {
            if (no_row(r)) return;
            unroll<kColumns>([&](auto q) THEW_FLAT {
                if (no_column(q)) return;
                const Vec<T> pixel = get(r, q);
                unroll<TH>([&](auto dy) THEW_FLAT {
                    unroll<TW>([&](auto dx) THEW_FLAT {
                        constexpr int ky = r - dy * S, kx = q - dx * S;
                        if constexpr (ky >= 0 && ky < KH && kx >= 0 && kx < KW) {
                            add_product<T>(sums[dy * TW + dx], pixel, weight(Constant<ky * KW + kx>{}));
                        }
                    });
                });
            });
        });
        unroll<TH * TW>([&](auto i) THEW_FLAT { put(i, sums[i]); });
    }
};

// Any window, stride and dilation: TW output pixels of one row, tap after tap.
template <class Values_, int TW_>
struct TapsTile {
    using Values = Values_;
    using T = typename Values::T;
    static constexpr bool kHasInterior = false, kLeavesOut = false;
    static constexpr int TH = 1, TW = TW_;

    static std::int64_t pixel_count(const DepthwiseArgs& args) { return args.kh * args.kw * TW; }
    static std::int64_t rows(const DepthwiseArgs& args) { return args.kh; }
    static std::int64_t columns(const DepthwiseArgs& args) { return args.kw * TW; }
    static std::int64_t row_step(const DepthwiseArgs& args) { return args.dilation_h; }
    static std::int64_t column_of(const DepthwiseArgs& args, std::int64_t q) {
        return q / TW * args.dilation_w + q % TW * args.stride_w;
    }

    static __attribute__((noinline)) void compute(const TileArgs<Values>& args) {
        typename Values::Out* const* out = args.out;
        const T* lines = args.lines;
        const std::int64_t line = args.line, channels = args.channels, taps = args.taps;
        const typename Values::Put put(args);
        const T* multiplier = lines + (taps + 1) * line;
        for (std::int64_t c = 0; c < channels; c += kLanes<T>) {
            const T* weight = lines + c;
            Vec<T> sums[TW];
            const Vec<T> bias = load(weight);
            unroll<TW>([&](auto i) THEW_FLAT { sums[i] = bias; });
            const typename Values::In* const* pixels = args.pixels;
            for (std::int64_t tap = 0; tap < taps; ++tap, pixels += TW) {
                weight += line;
                const Vec<T> w = load(weight);
                unroll<TW>([&](auto i) THEW_FLAT { sums[i] += Values::get(pixels[i] + c) * w; });
            }
            unroll<TW>([&](auto i) THEW_FLAT { put(out[i] + c, sums[i], multiplier + c); });
        }
    }
};

}  // namespace
}  // namespace thew
