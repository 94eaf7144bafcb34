// The loops around a tile of narrow groups: bands of rows and runs of channels are shared among workers; each walks its
// rows tile by tile, fills the tile's table of pixels and calls the micro-kernel for one vector of channels after
// another, whose weights lie side by side. Where channels do not fill whole vectors the last one is moved back, so that
// it overlaps the one before it. Results that cannot go straight to y go through a buffer.
#pragma once

#include "kernels/depthwise/finish.hpp"
#include "kernels/depthwise/group_tile.hpp"

namespace thew {
namespace {

// With 32 registers a tile of two rows, its 9 weights and what it reads stay in registers; with 16, one row. Rows of
// stride 2 that are read whole ask for as many as two rows of outputs.
inline constexpr int kGroupRows = kVectorRegisters >= 32 ? 2 : 1;
template <class Spread>
inline constexpr int kStridedGroupRows = Spread::kAtOnce > 1 ? 1 : kGroupRows;
inline constexpr int kGroupColumns = 7, kMostGroupOutputs = kGroupRows * kGroupColumns;

template <class Spread>
GroupTile<typename Spread::Element> spread_tile(const DepthwiseArgs& args) {
    const bool plain = args.kh == 3 && args.kw == 3 && args.dilation_h == 1 && args.dilation_w == 1;
    if (plain && args.stride_h == 1 && args.stride_w == 1) {
        return WindowGroups<Spread, 3, 1, kGroupRows, kGroupColumns>::tile();
    }
    if (plain && args.stride_h == 2 && args.stride_w == 2) {
        return WindowGroups<Spread, 3, 2, kStridedGroupRows<Spread>, kGroupColumns>::tile();
    }
    return TapsGroups<Spread, kGroupColumns>::tile(args);
}

template <class T>
GroupTile<T> group_tile(const DepthwiseArgs& args) {
    if constexpr (kLaneMultiply) {
        if (args.width < kLanes<T>) return TapsGroups<PermutedInputs<T>, kGroupColumns>::tile(args);
        return spread_tile<LaneInputs<T>>(args);
    }
    return spread_tile<PermutedInputs<T>>(args);
}

// What one worker needs; carved out of its scratch.
template <class T>
struct GroupScratch {
    T* results;        // a vector an output, and one beyond
    T* discard;        // a line that takes the outputs beyond the image
    T* copies;         // the channels of a vector's groups, side by side for all pixels
    const T** pixels;  // of the tile
    const T** copied;  // where they are copied to

    static std::int64_t span(const DepthwiseArgs& args) { return args.width > kLanes<T> ? args.width : kLanes<T>; }
    static std::int64_t bytes(const DepthwiseArgs& args, std::int64_t pixel_count) {
        const std::int64_t elements = (kMostGroupOutputs + 1) * kLanes<T> + args.padded_c + pixel_count * span(args);
        return (elements * static_cast<std::int64_t>(sizeof(T)) + 2 * pixel_count * 8 + 63) / 64 * 64;
    }
    GroupScratch(const DepthwiseArgs& args, std::int64_t pixel_count, std::byte* at)
        : results(reinterpret_cast<T*>(at)),
          discard(results + (kMostGroupOutputs + 1) * kLanes<T>),
          copies(discard + args.padded_c),
          pixels(reinterpret_cast<const T**>(copies + pixel_count * span(args))),
          copied(pixels + pixel_count) {
        for (std::int64_t p = 0; p < pixel_count; ++p) copied[p] = copies + p * span(args);
    }
};

// Where a tile is: image, first output row and column, vectors [first, last) of channels.
struct GroupPlace {
    std::int64_t n, row, column, first, last;
};

template <class T>
class GroupWork {
    const DepthwiseArgs& args_;
    const DepthwiseViews& views_;
    const GroupTile<T>& tile_;
    const GroupScratch<T> scratch_;
    const Bounds<T> bounds_;
    const bool finishes_, partial_, copies_;
    std::int64_t copied_from_;
    T* buffered_[kMostGroupOutputs];
    T* out_[kMostGroupOutputs];

public:
    GroupWork(const DepthwiseArgs& args, const DepthwiseViews& views, const GroupTile<T>& tile, std::byte* scratch)
        : args_(args),
          views_(views),
          tile_(tile),
          scratch_(args, tile.pixel_count(), scratch),
          bounds_(tile_bounds<T, T>(args)),
          finishes_(needs_finish(args)),
          partial_(args.c < kLanes<T>),
          copies_(partial_ || collide(views.x_w * static_cast<std::int64_t>(sizeof(T)))) {
        for (int i = 0; i < kMostGroupOutputs; ++i) buffered_[i] = scratch_.results + i * kLanes<T>;
    }

    // Output rows [row, row + th): all tiles.
    void band(GroupPlace place) {
        for (place.column = 0; place.column < args_.ow; place.column += tile_.tw) compute(place);
    }

private:
    std::int64_t offset(const GroupPlace& place, int i, std::int64_t n, std::int64_t h, std::int64_t w) const {
        return place.n * n + (place.row + i / tile_.tw) * h + (place.column + i % tile_.tw) * w;
    }
    T* y_at(const GroupPlace& place, int i) const {
        return static_cast<T*>(views_.y) + offset(place, i, views_.y_n, views_.y_h, views_.y_w);
    }
    bool kept(const GroupPlace& place, int i) const {
        return place.row + i / tile_.tw < args_.oh && place.column + i % tile_.tw < args_.ow;
    }

    void point_pixels(const GroupPlace& place) {
        const T* image = static_cast<const T*>(views_.x) + place.n * views_.x_n;
        const T* zeros = static_cast<const T*>(args_.zeros);
        const std::int64_t left = place.column * args_.stride_w - args_.pad_left;
        const T** pixel = scratch_.pixels;
        for (std::int64_t r = 0; r < tile_.rows; ++r) {
            const std::int64_t y = place.row * args_.stride_h - args_.pad_top + r * tile_.row_step;
            const bool inside = y >= 0 && y < args_.h;
            for (std::int64_t k = 0; k < tile_.runs; ++k) {
                std::int64_t x = left + k * tile_.run_step;
                for (std::int64_t q = 0; q < tile_.run; ++q, x += tile_.pixel_step) {
                    *pixel++ = inside && x >= 0 && x < args_.w ? image + y * views_.x_h + x * views_.x_w : zeros;
                }
            }
        }
    }

    // Whether pixels so many bytes apart fall on too few lines of a first-level cache of 32 KB to stay there; a fourth
    // more of them comes from the second level in time.
    bool collide(std::int64_t stride) const {
        constexpr std::int64_t kNearBytes = 40 << 10;
        return tile_.pixel_count() * (stride & -stride) > kNearBytes;
    }

    // Copies the channels of a vector's groups: where pixels collide, or are fewer than a vector has, so that memory
    // beyond the view is not read.
    void copy_pixels(std::int64_t from) {
        if (from == copied_from_) return;
        const std::int64_t count = tile_.pixel_count(), span = GroupScratch<T>::span(args_);
        for (std::int64_t p = 0; p < count; ++p) {
            const T* pixel = scratch_.pixels[p] + from;
            T* copy = scratch_.copies + p * span;
            if (partial_) {
                store(copy, load_partial(pixel, static_cast<int>(args_.c)));
            } else {
                for (std::int64_t k = 0; k < span; k += kLanes<T>) store(copy + k, load(pixel + k));
            }
        }
        copied_from_ = from;
    }

    void compute(const GroupPlace& place) {
        const bool direct = !partial_ && !finishes_ && views_.y_c == 1;
        point_pixels(place);
        copied_from_ = -1;
        for (int i = 0; i < tile_.th * tile_.tw; ++i) out_[i] = kept(place, i) ? y_at(place, i) : scratch_.discard;
        const std::int64_t taps = args_.kh * args_.kw, block_size = (1 + args_.width * taps) * kLanes<T>;
        for (std::int64_t b = place.first; b < place.last; ++b) {
            const std::int64_t first = group_block_first(args_.c, kLanes<T>, b), over = b * kLanes<T> - first;
            const std::int64_t from = first / args_.width * args_.width;
            const bool straight = direct && over == 0;
            if (copies_) copy_pixels(from);
            tile_.compute({copies_ ? scratch_.copied : scratch_.pixels, copies_ ? 0 : from, straight ? out_ : buffered_,
                           straight ? first : 0, static_cast<const T*>(args_.packed) + b * block_size, args_.width,
                           taps, bounds_.low, bounds_.high});
            if (!straight) write(place, first, over);
        }
    }

    // The buffer's results of channels from first + over on: before them lies what the vector before has written.
    void write(const GroupPlace& place, std::int64_t first, std::int64_t over) {
        const std::int64_t count = (args_.c < kLanes<T> ? args_.c : kLanes<T>)-over, c = first + over;
        for (int i = 0; i < tile_.th * tile_.tw; ++i) {
            if (!kept(place, i)) continue;
            const T* residual = static_cast<const T*>(views_.residual);
            if (args_.residual) residual += offset(place, i, views_.r_n, views_.r_h, views_.r_w) + c * views_.r_c;
            const Line<T> line{buffered_[i] + over, count,     y_at(place, i) + c * views_.y_c, residual,
                               views_.y_c,          views_.r_c};
            write_line(line, args_.epilogue, finishes_);
        }
    }
};

template <class T>
std::int64_t group_scratch_bytes(const DepthwiseArgs& args) {
    return GroupScratch<T>::bytes(args, group_tile<T>(args).pixel_count());
}

template <class T>
void run_groups(const DepthwiseArgs& args, const DepthwiseViews& views, const Workers& workers, std::byte* scratch) {
    const GroupTile<T> tile = group_tile<T>(args);
    const std::int64_t bands = (args.oh - args.first_row + tile.th - 1) / tile.th, bytes = group_scratch_bytes<T>(args);
    const std::int64_t vectors = (args.c + kLanes<T> - 1) / kLanes<T>,
                       wanted = workers.count == 1 ? 1 : 4 * workers.count;
    std::int64_t parts = 1;
    while (args.n * bands * parts < wanted && parts < vectors) parts *= 2;
    const std::int64_t each = (vectors + parts - 1) / parts;
    parts = (vectors + each - 1) / each;
    auto body = [&](std::int64_t item, int worker) {
        GroupWork<T> work(args, views, tile, scratch + worker * bytes);
        const std::int64_t first = item % parts * each, row = args.first_row + item / parts % bands * tile.th;
        work.band({item / parts / bands, row, 0, first, first + each < vectors ? first + each : vectors});
    };
    parallel_for(workers, args.n * bands * parts, body);
}

}  // namespace
}  // namespace thew
