// The loops around a depthwise tile: rows and channel blocks are shared among workers; each work item walks its rows
// tile by tile, fills the tile's pointer table and calls the micro-kernel for all full vectors of channels. Results
// that cannot go straight to y (tail channels, channels of y not adjacent, a residual, activations other than a clamp)
// go through buffers, a chunk of channels at a time.
#pragma once

#include "kernels/depthwise/finish.hpp"
#include "kernels/depthwise/values.hpp"

namespace thew {
namespace {

inline std::int64_t rounded_bytes(std::int64_t count, std::size_t size) {
    return (count * static_cast<std::int64_t>(size) + 63) / 64 * 64;
}

// What one worker needs; carved out of its scratch.
template <class Tile>
struct DepthwiseScratch {
    using T = typename Tile::Values::T;
    using In = typename Tile::Values::In;
    using Out = typename Tile::Values::Out;
    static constexpr std::int64_t kOutputs = Tile::TH * Tile::TW;
    static constexpr std::int64_t kChunk = 16 * kLanes<T>;  // channels that go through `results` at once
    const In** pixels;                                      // of the tile
    const In** part;                                        // the same from another channel on
    In* tail;                                               // one vector a pixel
    Out* results;                                           // a chunk an output
    Out* discard;                                           // a line that takes the outputs beyond the image

    static std::int64_t bytes(const DepthwiseArgs& args) {
        const std::int64_t pixels = Tile::pixel_count(args);
        return 2 * rounded_bytes(pixels, sizeof(In*)) + rounded_bytes(pixels * kLanes<T>, sizeof(In)) +
               rounded_bytes(kOutputs * kChunk + args.padded_c, sizeof(Out));
    }
    DepthwiseScratch(const DepthwiseArgs& args, std::byte* at) {
        const std::int64_t count = Tile::pixel_count(args), table = rounded_bytes(count, sizeof(In*));
        pixels = reinterpret_cast<const In**>(at);
        part = reinterpret_cast<const In**>(at + table);
        tail = reinterpret_cast<In*>(at + 2 * table);
        results = reinterpret_cast<Out*>(at + 2 * table + rounded_bytes(count * kLanes<T>, sizeof(In)));
        discard = results + kOutputs * kChunk;
    }
};

// Where a tile is: image, multiplier, first output row and column, channels [first, last) of x.
struct TilePlace {
    std::int64_t n, j, row, column, first, last;
};

template <class Tile>
class DepthwiseWork {
    using Values = typename Tile::Values;
    using T = typename Values::T;
    using In = typename Values::In;
    using Out = typename Values::Out;
    static constexpr std::int64_t kOutputs = Tile::TH * Tile::TW, kChunk = DepthwiseScratch<Tile>::kChunk;
    const DepthwiseArgs& args_;
    const DepthwiseViews& views_;
    const DepthwiseScratch<Tile> scratch_;
    const Bounds<T> bounds_;
    const bool finishes_, direct_;  // direct_: full vectors go straight to y
    Out* out_[kOutputs];

public:
    DepthwiseWork(const DepthwiseArgs& args, const DepthwiseViews& views, std::byte* scratch)
        : args_(args),
          views_(views),
          scratch_(args, scratch),
          bounds_(tile_bounds<Out, T>(args)),
          finishes_(needs_finish(args)),
          direct_(!finishes_ && args.multiplier == 1 && views.y_c == 1) {}

    // Output rows [row, row + TH): all tiles from place.column on.
    void rows(TilePlace place) {
        for (place.column = 0; place.column < args_.ow;) {
            const std::int64_t interior = direct_ ? compute_interior(place) : 0;
            if (interior == 0) compute(place);
            place.column += (interior == 0 ? 1 : interior) * Tile::TW;
        }
    }

private:
    std::int64_t top(const TilePlace& place) const { return place.row * args_.stride_h - args_.pad_top; }
    std::int64_t left(const TilePlace& place) const { return place.column * args_.stride_w - args_.pad_left; }

    TileArgs<Values> tile_args(const TilePlace& place) {
        const std::int64_t taps = args_.kh * args_.kw, channels = place.last - place.first;
        const T* lines = static_cast<const T*>(args_.packed) + place.j * (taps + 2) * args_.padded_c + place.first;
        const std::int64_t full = channels / kLanes<T> * kLanes<T>;
        return {scratch_.pixels, out_, lines, args_.padded_c, taps, full, bounds_.low, bounds_.high, args_.y_zero};
    }

    // Computes tiles from `place` on as long as they lie inside on all sides and have full vectors only: how many; or
    // those that reach a pixel beyond the image, where the kernel takes such. Of many channels a few tiles at a time,
    // since a vector of channels over a whole row would leave the first-level cache: on Arm, where the weights are a
    // load each, four, which are 11 KB of lines.
    std::int64_t compute_interior(const TilePlace& place) {
        if constexpr (Tile::kHasInterior) {
            constexpr std::int64_t kFewVectors = 4, kFewTiles = kLaneMultiply ? 4 : 1;
            const std::int64_t first_row = top(place), first_column = left(place), channels = place.last - place.first;
            constexpr std::int64_t kBeyond = Tile::kLeavesOut ? 1 : 0;
            const std::int64_t below = first_row + Tile::kRows - args_.h;
            const std::int64_t beyond = first_column + Tile::kColumns - args_.w;
            if (first_row < -kBeyond || first_column < -kBeyond || below > kBeyond || beyond > kBeyond ||
                place.row + Tile::TH > args_.oh || place.column + Tile::TW > args_.ow || channels % kLanes<T> != 0) {
                return 0;
            }
            const std::int64_t step = Tile::TW * args_.stride_w;
            const std::int64_t in_x = (kBeyond - beyond) / step + 1, in_y = (args_.ow - place.column) / Tile::TW;
            const std::int64_t fit = in_x < in_y ? in_x : in_y;
            const bool few = channels > kFewVectors * kLanes<T> && fit > kFewTiles;
            const std::int64_t count = few ? kFewTiles : fit;
            const int outside = (first_row < 0 ? kTop : 0) | (below > 0 ? kBottom : 0) |
                                (first_column < 0 ? kLeft : 0) | (beyond + (count - 1) * step > 0 ? kRight : 0);
            const In* x = static_cast<const In*>(views_.x) + place.n * views_.x_n + place.first +
                          first_row * views_.x_h + first_column * views_.x_w;
            Tile::compute_interior(tile_args(place),
                                   {x, views_.x_h, views_.x_w, y_at(place, 0), views_.y_h, views_.y_w, count, outside});
            return count;
        }
        return 0;
    }

    void point_pixels(const TilePlace& place) {
        const std::int64_t rows = Tile::rows(args_), columns = Tile::columns(args_);
        const In* image = static_cast<const In*>(views_.x) + place.n * views_.x_n + place.first;
        const In* zeros = static_cast<const In*>(args_.zeros);
        const In** pixel = scratch_.pixels;
        for (std::int64_t r = 0; r < rows; ++r) {
            const std::int64_t y = top(place) + r * Tile::row_step(args_);
            for (std::int64_t q = 0; q < columns; ++q) {
                const std::int64_t x = left(place) + Tile::column_of(args_, q);
                const bool inside = y >= 0 && y < args_.h && x >= 0 && x < args_.w;
                *pixel++ = inside ? image + y * views_.x_h + x * views_.x_w : zeros;
            }
        }
    }

    bool kept(const TilePlace& place, std::int64_t i) const {
        return place.row + i / Tile::TW < args_.oh && place.column + i % Tile::TW < args_.ow;
    }

    // Output i of the tile, its first channel, in a tensor with these strides.
    std::int64_t offset(const TilePlace& place, std::int64_t i, std::int64_t n, std::int64_t c, std::int64_t h,
                        std::int64_t w) const {
        return place.n * n + (place.first * args_.multiplier + place.j) * c + (place.row + i / Tile::TW) * h +
               (place.column + i % Tile::TW) * w;
    }
    Out* y_at(const TilePlace& place, std::int64_t i) const {
        return static_cast<Out*>(views_.y) + offset(place, i, views_.y_n, views_.y_c, views_.y_h, views_.y_w);
    }

    void compute(const TilePlace& place) {
        point_pixels(place);
        const TileArgs<Values> tile = tile_args(place);
        const std::int64_t channels = place.last - place.first, full = tile.channels;
        if (direct_) {
            for (std::int64_t i = 0; i < kOutputs; ++i) out_[i] = kept(place, i) ? y_at(place, i) : scratch_.discard;
            Tile::compute(tile);
        } else {
            for (std::int64_t c = 0; c < full; c += kChunk)
                buffered(tile, place, c, full - c < kChunk ? full - c : kChunk);
        }
        if (full < channels) buffered(tile, place, full, channels - full);
    }

    // `count` channels from c on: full vectors within a chunk, or less than one vector, which is copied first so that
    // memory beyond the view is not read.
    void buffered(TileArgs<Values> tile, const TilePlace& place, std::int64_t c, std::int64_t count) {
        const std::int64_t pixels = Tile::pixel_count(args_);
        for (std::int64_t i = 0; i < pixels; ++i) scratch_.part[i] = scratch_.pixels[i] + c;
        if (count < kLanes<T>) {
            for (std::int64_t i = 0; i < pixels; ++i) {
                In* copy = scratch_.tail + i * kLanes<T>;
                for (std::int64_t k = 0; k < kLanes<T>; ++k) copy[k] = k < count ? scratch_.part[i][k] : In{0};
                scratch_.part[i] = copy;
            }
        }
        for (std::int64_t i = 0; i < kOutputs; ++i) out_[i] = scratch_.results + i * kChunk;
        tile.pixels = scratch_.part;
        tile.lines += c;
        tile.channels = count < kLanes<T> ? kLanes<T> : count;
        Tile::compute(tile);
        const std::int64_t y_step = args_.multiplier * views_.y_c, residual_step = args_.multiplier * views_.r_c;
        for (std::int64_t i = 0; i < kOutputs; ++i) {
            if (!kept(place, i)) continue;
            const Out* residual = static_cast<const Out*>(views_.residual);
            if (args_.residual) {
                residual += offset(place, i, views_.r_n, views_.r_c, views_.r_h, views_.r_w) + c * residual_step;
            }
            const Line<Out> line{out_[i], count, y_at(place, i) + c * y_step, residual, y_step, residual_step};
            write_line(line, args_.epilogue, finishes_);
        }
    }
};

template <class Tile>
std::int64_t depthwise_scratch_bytes(const DepthwiseArgs& args) {
    return DepthwiseScratch<Tile>::bytes(args);
}

template <class Tile>
void run_depthwise(const DepthwiseArgs& args, const DepthwiseViews& views, const Workers& workers, std::byte* scratch) {
    using T = typename Tile::Values::T;
    const std::int64_t bands = (args.oh - args.first_row + Tile::TH - 1) / Tile::TH;
    // Items of whole rows keep the reads long (cutting channels so that rows stay in L1 was a third slower: the streams
    // get too short for the prefetchers); channels are split only where rows are too few to share out.
    std::int64_t blocks = 1;
    const std::int64_t wanted = workers.count == 1 ? 1 : 4 * workers.count;
    const std::int64_t vectors = (args.c + 4 * kLanes<T> - 1) / (4 * kLanes<T>);
    while (args.n * args.multiplier * bands * blocks < wanted && blocks < vectors) blocks *= 2;
    const std::int64_t block = (args.c + blocks * kLanes<T> - 1) / (blocks * kLanes<T>)*kLanes<T>;
    blocks = (args.c + block - 1) / block;
    const std::int64_t bytes = DepthwiseScratch<Tile>::bytes(args);
    auto body = [&](std::int64_t item, int worker) {
        DepthwiseWork<Tile> work(args, views, scratch + worker * bytes);
        const std::int64_t first = item % blocks * block, row = args.first_row + item / blocks % bands * Tile::TH;
        const std::int64_t j = item / blocks / bands % args.multiplier, n = item / blocks / bands / args.multiplier;
        work.rows({n, j, row, 0, first, first + block < args.c ? first + block : args.c});
    };
    parallel_for(workers, args.n * args.multiplier * bands * blocks, body);
}

}  // namespace
}  // namespace thew
