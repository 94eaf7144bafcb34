// The loops around a tile of narrow groups: bands of rows and runs of channels are shared among workers; each walks its
// rows tile by tile, fills the tile's table of pixels and calls the micro-kernel for one vector of channels after
// another, whose weights lie side by side. Where channels do not fill whole vectors the last one is moved back, so that
// it overlaps the one before it. Results that cannot go straight to y go through a buffer.
//
// A kind says what pixels have (In), what they are summed in (Sum), what y has (Out), which tile computes it, how many
// inputs a lane multiplies one after another, and how many lines follow the weights of a vector of channels.
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
GroupTile<typename Spread::In, typename Spread::Sum> spread_tile(const DepthwiseArgs& args) {
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
struct RealGroups {
    using In = T;
    using Sum = T;
    using Out = T;
    static constexpr std::int64_t kLinesBehind = 0;

    static std::int64_t inputs(const DepthwiseArgs& args) { return args.width; }
    static GroupTile<In, Sum> tile(const DepthwiseArgs& args) {
        if constexpr (kLaneMultiply) {
            if (args.width < kLanes<T>) return TapsGroups<PermutedInputs<T>, kGroupColumns>::tile(args);
            return spread_tile<LaneInputs<T>>(args);
        }
        return spread_tile<PermutedInputs<T>>(args);
    }
};

// What one worker needs; carved out of its scratch.
template <class Kind>
struct GroupScratch {
    using In = typename Kind::In;
    using Sum = typename Kind::Sum;
    const In** pixels;  // of the tile
    const In** copied;  // where they are copied to
    Sum* results;       // a vector an output, and one beyond
    Sum* discard;       // a line that takes the outputs beyond the image
    In* copies;         // the channels of a vector's groups, side by side for all pixels

    static std::int64_t span(const DepthwiseArgs& args) { return args.width > kLanes<Sum> ? args.width : kLanes<Sum>; }
    static std::int64_t bytes(const DepthwiseArgs& args, std::int64_t pixel_count) {
        const std::int64_t sums = (kMostGroupOutputs + 1) * kLanes<Sum> + args.padded_c;
        const std::int64_t copies = pixel_count * span(args) * static_cast<std::int64_t>(sizeof(In));
        return (2 * pixel_count * 8 + sums * static_cast<std::int64_t>(sizeof(Sum)) + copies + 63) / 64 * 64;
    }
    GroupScratch(const DepthwiseArgs& args, std::int64_t pixel_count, std::byte* at)
        : pixels(reinterpret_cast<const In**>(at)),
          copied(pixels + pixel_count),
          results(reinterpret_cast<Sum*>(copied + pixel_count)),
          discard(results + (kMostGroupOutputs + 1) * kLanes<Sum>),
          copies(reinterpret_cast<In*>(discard + args.padded_c)) {
        for (std::int64_t p = 0; p < pixel_count; ++p) copied[p] = copies + p * span(args);
    }
};

// Where a tile is: image, first output row and column, vectors [first, last) of channels.
struct GroupPlace {
    std::int64_t n, row, column, first, last;
};

template <class Kind>
class GroupWork {
    using In = typename Kind::In;
    using Sum = typename Kind::Sum;
    using Out = typename Kind::Out;
    static constexpr bool kRequantises = !std::is_same_v<Sum, Out>;
    const DepthwiseArgs& args_;
    const DepthwiseViews& views_;
    const GroupTile<In, Sum>& tile_;
    const GroupScratch<Kind> scratch_;
    const Bounds<Sum> bounds_;
    const bool finishes_, partial_, copies_;
    std::int64_t copied_from_;
    Sum* buffered_[kMostGroupOutputs];
    Sum* out_[kMostGroupOutputs];

public:
    GroupWork(const DepthwiseArgs& args, const DepthwiseViews& views, const GroupTile<In, Sum>& tile,
              std::byte* scratch)
        : args_(args),
          views_(views),
          tile_(tile),
          scratch_(args, tile.pixel_count(), scratch),
          bounds_(tile_bounds<Out, Sum>(args)),
          finishes_(needs_finish(args)),
          partial_(args.c < kLanes<Sum>),
          copies_(partial_ || collide(views.x_w * static_cast<std::int64_t>(sizeof(In)))) {
        for (int i = 0; i < kMostGroupOutputs; ++i) buffered_[i] = scratch_.results + i * kLanes<Sum>;
    }

    // Output rows [row, row + th): all tiles.
    void band(GroupPlace place) {
        for (place.column = 0; place.column < args_.ow; place.column += tile_.tw) compute(place);
    }

private:
    std::int64_t offset(const GroupPlace& place, int i, std::int64_t n, std::int64_t h, std::int64_t w) const {
        return place.n * n + (place.row + i / tile_.tw) * h + (place.column + i % tile_.tw) * w;
    }
    Out* y_at(const GroupPlace& place, int i) const {
        return static_cast<Out*>(views_.y) + offset(place, i, views_.y_n, views_.y_h, views_.y_w);
    }
    bool kept(const GroupPlace& place, int i) const {
        return place.row + i / tile_.tw < args_.oh && place.column + i % tile_.tw < args_.ow;
    }

    void point_pixels(const GroupPlace& place) {
        const In* image = static_cast<const In*>(views_.x) + place.n * views_.x_n;
        const In* zeros = static_cast<const In*>(args_.zeros);
        const std::int64_t left = place.column * args_.stride_w - args_.pad_left;
        const In** pixel = scratch_.pixels;
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
        const std::int64_t count = tile_.pixel_count(), span = GroupScratch<Kind>::span(args_);
        const auto size = static_cast<std::size_t>(partial_ ? args_.c : span) * sizeof(In);
        for (std::int64_t p = 0; p < count; ++p) {
            In* copy = scratch_.copies + p * span;
            __builtin_memcpy(copy, scratch_.pixels[p] + from, size);
            if (partial_) __builtin_memset(copy + args_.c, 0, static_cast<std::size_t>(span) * sizeof(In) - size);
        }
        copied_from_ = from;
    }

    void compute(const GroupPlace& place) {
        const bool direct = !kRequantises && !partial_ && !finishes_ && views_.y_c == 1;
        point_pixels(place);
        copied_from_ = -1;
        if constexpr (!kRequantises) {
            for (int i = 0; i < tile_.th * tile_.tw; ++i) out_[i] = kept(place, i) ? y_at(place, i) : scratch_.discard;
        }
        const std::int64_t inputs = Kind::inputs(args_), taps = args_.kh * args_.kw;
        const std::int64_t lines = 1 + inputs * taps, block_size = (lines + Kind::kLinesBehind) * kLanes<Sum>;
        for (std::int64_t b = place.first; b < place.last; ++b) {
            const std::int64_t first = group_block_first(args_.c, kLanes<Sum>, b), over = b * kLanes<Sum> - first;
            const std::int64_t from = first / args_.width * args_.width;
            const bool straight = direct && over == 0;
            const Sum* block = static_cast<const Sum*>(args_.packed) + b * block_size;
            if (copies_) copy_pixels(from);
            tile_.compute({copies_ ? scratch_.copied : scratch_.pixels, copies_ ? 0 : from, straight ? out_ : buffered_,
                           straight ? first : 0, block, inputs, taps, bounds_.low, bounds_.high});
            if (!straight) write(place, first, over, block + lines * kLanes<Sum>);
        }
    }

    // The buffer's results of channels from first + over on: before them lies what the vector before has written.
    void write(const GroupPlace& place, std::int64_t first, std::int64_t over, [[maybe_unused]] const void* behind) {
        const std::int64_t count = (args_.c < kLanes<Sum> ? args_.c : kLanes<Sum>)-over, c = first + over;
        for (int i = 0; i < tile_.th * tile_.tw; ++i) {
            if (!kept(place, i)) continue;
            Out* y = y_at(place, i) + c * views_.y_c;
            if constexpr (kRequantises) {
                Kind::write(args_, buffered_[i], behind, y, views_.y_c, over, count);
            } else {
                const Out* residual = static_cast<const Out*>(views_.residual);
                if (args_.residual) residual += offset(place, i, views_.r_n, views_.r_h, views_.r_w) + c * views_.r_c;
                write_line(Line<Out>{buffered_[i] + over, count, y, residual, views_.y_c, views_.r_c}, args_.epilogue,
                           finishes_);
            }
        }
    }
};

template <class Kind>
std::int64_t group_scratch_bytes(const DepthwiseArgs& args) {
    return GroupScratch<Kind>::bytes(args, Kind::tile(args).pixel_count());
}

template <class Kind>
void run_groups(const DepthwiseArgs& args, const DepthwiseViews& views, const Workers& workers, std::byte* scratch) {
    constexpr std::int64_t kWide = kLanes<typename Kind::Sum>;
    const auto tile = Kind::tile(args);
    const std::int64_t bands = (args.oh - args.first_row + tile.th - 1) / tile.th;
    const std::int64_t bytes = group_scratch_bytes<Kind>(args);
    const std::int64_t vectors = (args.c + kWide - 1) / kWide, wanted = workers.count == 1 ? 1 : 4 * workers.count;
    std::int64_t parts = 1;
    while (args.n * bands * parts < wanted && parts < vectors) parts *= 2;
    const std::int64_t each = (vectors + parts - 1) / parts;
    parts = (vectors + each - 1) / each;
    auto body = [&](std::int64_t item, int worker) {
        GroupWork<Kind> work(args, views, tile, scratch + worker * bytes);
        const std::int64_t first = item % parts * each, row = args.first_row + item / parts % bands * tile.th;
        work.band({item / parts / bands, row, 0, first, first + each < vectors ? first + each : vectors});
    };
    parallel_for(workers, args.n * bands * parts, body);
}

}  // namespace
}  // namespace thew
