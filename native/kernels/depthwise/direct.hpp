// The loops around a depthwise tile: rows and channel blocks are shared among workers; each work item walks its rows
// tile by tile, fills the tile's pointer table and calls the micro-kernel for all full vectors of channels. What is
// left (tail channels, outputs whose channels are not adjacent) goes through vector-sized buffers.
#pragma once

#include "kernels/depthwise/tile.hpp"

namespace thew {
namespace {

// What one worker needs; carved out of its scratch.
template <class Tile>
struct DepthwiseScratch {
    using T = typename Tile::Element;
    static constexpr std::int64_t kOutputs = Tile::TH * Tile::TW;
    const T** pixels;  // of the tile
    const T** part;    // the same for one vector of channels
    T* tail;           // one vector a pixel
    T* results;        // one vector an output
    T* discard;        // a line that takes the outputs beyond the image

    static std::int64_t bytes(const DepthwiseArgs& args) {
        const std::int64_t pixels = Tile::pixel_count(args);
        const std::int64_t table = (pixels * static_cast<std::int64_t>(sizeof(T*)) + 63) / 64 * 64;
        const std::int64_t line = (args.padded_c * static_cast<std::int64_t>(sizeof(T)) + 63) / 64 * 64;
        return 2 * table + (pixels + kOutputs) * static_cast<std::int64_t>(kVectorBytes) + line + 64;
    }
    DepthwiseScratch(const DepthwiseArgs& args, std::byte* at) {
        const std::int64_t count = Tile::pixel_count(args);
        const std::int64_t table = (count * static_cast<std::int64_t>(sizeof(T*)) + 63) / 64 * 64;
        pixels = reinterpret_cast<const T**>(at);
        part = reinterpret_cast<const T**>(at + table);
        tail = reinterpret_cast<T*>(at + 2 * table);
        results = tail + count * kLanes<T>;
        discard = results + kOutputs * kLanes<T>;
    }
};

template <class Tile>
class DepthwiseWork {
    using T = typename Tile::Element;
    static constexpr std::int64_t kOutputs = Tile::TH * Tile::TW;
    const DepthwiseArgs& args_;
    const DepthwiseViews& views_;
    DepthwiseScratch<Tile> scratch_;
    T* out_[kOutputs];
    bool interior_ = false;  // the table in hand points inside the image only

public:
    DepthwiseWork(const DepthwiseArgs& args, const DepthwiseViews& views, std::byte* scratch)
        : args_(args), views_(views), scratch_(args, scratch) {}

    // Output rows [row, row + TH) of image n for channels [first, last), multiplier j.
    void rows(std::int64_t n, std::int64_t j, std::int64_t row, std::int64_t first, std::int64_t last) {
        const T* image = static_cast<const T*>(views_.x) + n * views_.x_n + first;
        T* y = static_cast<T*>(views_.y) + n * views_.y_n + (first * args_.multiplier + j) * views_.y_c;
        interior_ = false;
        for (std::int64_t column = 0; column < args_.ow; column += Tile::TW) {
            point_pixels(image, row, column);
            compute(y, row, column, j, first, last);
        }
    }

private:
    void point_pixels(const T* image, std::int64_t row, std::int64_t column) {
        const std::int64_t rows = Tile::rows(args_), columns = Tile::columns(args_);
        const std::int64_t top = row * args_.stride_h - args_.pad_top;
        const std::int64_t left = column * args_.stride_w - args_.pad_left;
        const bool interior = top >= 0 && left >= 0 && top + (rows - 1) * Tile::row_step(args_) < args_.h &&
                              left + Tile::column_of(args_, columns - 1) < args_.w;
        if (interior && interior_) {
            const std::int64_t step = Tile::TW * args_.stride_w * views_.x_w;
            for (std::int64_t i = 0; i < rows * columns; ++i) scratch_.pixels[i] += step;
            return;
        }
        interior_ = interior;
        const T* zeros = static_cast<const T*>(args_.zeros);
        const T** pixel = scratch_.pixels;
        for (std::int64_t r = 0; r < rows; ++r) {
            const std::int64_t y = top + r * Tile::row_step(args_);
            for (std::int64_t q = 0; q < columns; ++q) {
                const std::int64_t x = left + Tile::column_of(args_, q);
                const bool inside = y >= 0 && y < args_.h && x >= 0 && x < args_.w;
                *pixel++ = inside ? image + y * views_.x_h + x * views_.x_w : zeros;
            }
        }
    }

    bool kept(std::int64_t i, std::int64_t row, std::int64_t column) const {
        return row + i / Tile::TW < args_.oh && column + i % Tile::TW < args_.ow;
    }

    void compute(T* y, std::int64_t row, std::int64_t column, std::int64_t j, std::int64_t first, std::int64_t last) {
        const std::int64_t taps = args_.kh * args_.kw, channels = last - first;
        const T* lines = static_cast<const T*>(args_.packed) + j * (taps + 1) * args_.padded_c + first;
        T* corner = y + row * views_.y_h + column * views_.y_w;
        TileArgs<T> tile{scratch_.pixels,           out_, lines, args_.padded_c, taps, 0, static_cast<T>(args_.low),
                         static_cast<T>(args_.high)};
        std::int64_t c = 0;
        if (views_.y_c == 1 && args_.multiplier == 1) {
            for (std::int64_t i = 0; i < kOutputs; ++i) {
                out_[i] = kept(i, row, column) ? corner + i / Tile::TW * views_.y_h + i % Tile::TW * views_.y_w
                                               : scratch_.discard;
            }
            tile.channels = c = channels / kLanes<T> * kLanes<T>;
            Tile::compute(tile);
        }
        for (; c < channels; c += kLanes<T>) buffered(tile, lines, corner, row, column, c, channels);
    }

    // One vector of channels from c, by way of buffers where memory must not be touched beyond the views.
    void buffered(TileArgs<T> tile, const T* lines, T* corner, std::int64_t row, std::int64_t column, std::int64_t c,
                  std::int64_t channels) {
        const std::int64_t lanes = channels - c < kLanes<T> ? channels - c : kLanes<T>;
        const std::int64_t count = Tile::pixel_count(args_);
        for (std::int64_t i = 0; i < count; ++i) {
            scratch_.part[i] = scratch_.pixels[i] + c;
            if (lanes == kLanes<T>) continue;
            T* copy = scratch_.tail + i * kLanes<T>;
            for (std::int64_t lane = 0; lane < kLanes<T>; ++lane)
                copy[lane] = lane < lanes ? scratch_.part[i][lane] : T{0};
            scratch_.part[i] = copy;
        }
        for (std::int64_t i = 0; i < kOutputs; ++i) out_[i] = scratch_.results + i * kLanes<T>;
        tile.pixels = scratch_.part;
        tile.lines = lines + c;
        tile.channels = kLanes<T>;
        Tile::compute(tile);
        const std::int64_t step = args_.multiplier * views_.y_c;
        for (std::int64_t i = 0; i < kOutputs; ++i) {
            if (!kept(i, row, column)) continue;
            T* to = corner + i / Tile::TW * views_.y_h + i % Tile::TW * views_.y_w + c * step;
            for (std::int64_t lane = 0; lane < lanes; ++lane) to[lane * step] = out_[i][lane];
        }
    }
};

template <class Tile>
std::int64_t depthwise_scratch_bytes(const DepthwiseArgs& args) {
    return DepthwiseScratch<Tile>::bytes(args);
}

template <class Tile>
void run_depthwise(const DepthwiseArgs& args, const DepthwiseViews& views, const Workers& workers, std::byte* scratch) {
    using T = typename Tile::Element;
    const std::int64_t bands = (args.oh + Tile::TH - 1) / Tile::TH;
    // Items of whole rows keep the reads long; channels are split only where rows are too few to share out.
    std::int64_t blocks = 1;
    const std::int64_t wanted = workers.count == 1 ? 1 : 4 * workers.count;
    const std::int64_t vectors = (args.c + 4 * kLanes<T> - 1) / (4 * kLanes<T>);
    while (args.n * args.multiplier * bands * blocks < wanted && blocks < vectors) blocks *= 2;
    const std::int64_t block = (args.c + blocks * kLanes<T> - 1) / (blocks * kLanes<T>)*kLanes<T>;
    blocks = (args.c + block - 1) / block;
    const std::int64_t bytes = DepthwiseScratch<Tile>::bytes(args);
    auto body = [&](std::int64_t item, int worker) {
        DepthwiseWork<Tile> work(args, views, scratch + worker * bytes);
        const std::int64_t first = item % blocks * block, band = item / blocks % bands;
        const std::int64_t j = item / blocks / bands % args.multiplier, n = item / blocks / bands / args.multiplier;
        work.rows(n, j, band * Tile::TH, first, first + block < args.c ? first + block : args.c);
    };
    parallel_for(workers, args.n * args.multiplier * bands * blocks, body);
}

}  // namespace
}  // namespace thew
