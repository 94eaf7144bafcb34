// Reads square tiles of an image: kSize×kSize elements every kStep pixels, from `pad` before its first one on. Tiles
// over the image's edge, and channels that fill no vector, pass through a staged tile: zeros stand outside the image,
// and nothing outside of it is read. Elements are widened where memory holds 16 bits.
#pragma once

#include "kernels/winograd/contract.hpp"
#include "simd/half.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

inline std::int64_t round_to(std::int64_t count, std::int64_t multiple) {
    return (count + multiple - 1) / multiple * multiple;
}

// The part of a tile, `rows` × `columns` from (row, column) on, that lies in the image.
struct Clip {
    std::int64_t row, rows, column, columns;
};

// Of `size` elements from `first` on, those in [0, extent): the first, relative to `first`, and how many.
inline void clip_span(std::int64_t first, std::int64_t size, std::int64_t extent, std::int64_t& from,
                      std::int64_t& count) {
    const std::int64_t begin = first < 0 ? -first : 0, end = first + size < extent ? size : extent - first;
    from = begin < size ? begin : 0;
    count = end > begin ? end - begin : 0;
}

// Where a tile's outputs start.
struct Place {
    std::int64_t n, h, w;  // image, row, column
};

// Tiles of kStep×kStep outputs, row by row, image by image.
template <int kStep>
class Places {
    std::int64_t tiles_h_, tiles_w_;

public:
    Places(std::int64_t tiles_h, std::int64_t tiles_w) : tiles_h_(tiles_h), tiles_w_(tiles_w) {}
    Place at(std::int64_t tile) const {
        const std::int64_t in_row = tile / tiles_w_;
        return {in_row / tiles_h_, in_row % tiles_h_ * kStep, tile % tiles_w_ * kStep};
    }
    void advance(Place& place) const {
        if ((place.w += kStep) < tiles_w_ * kStep) return;
        place.w = 0;
        if ((place.h += kStep) < tiles_h_ * kStep) return;
        place.h = 0;
        place.n += 1;
    }
};

// An image of one group's channels, side by side.
template <class Memory>
struct Image {
    const Memory* data;
    std::int64_t stride_n, stride_h, stride_w, h, w, pad_top, pad_left;
};

template <class Memory>
struct TileSource {
    const Memory* data;
    std::int64_t row, column;  // strides
    bool staged;
    Clip clip;
};

// kChunk: channels that are staged at a time.
template <class Memory, int kSize, int kChunk>
class TileReader {
    using T = Wide<Memory>;
    static constexpr int L = kLanes<T>;
    Image<Memory> image_;

public:
    using Source = TileSource<Memory>;
    struct Stage {
        alignas(64) T pixels[kSize * kSize * kChunk];
    };

    explicit TileReader(const Image<Memory>& image) : image_(image) {}

    // A tile's first pixel, wherever it is; the row after its last one.
    const Memory* first(const Place& place) const {
        return image_.data + place.n * image_.stride_n + (place.h - image_.pad_top) * image_.stride_h +
               (place.w - image_.pad_left) * image_.stride_w;
    }
    const Memory* last(const Place& place) const { return first(place) + kSize * image_.stride_h; }

    // Where a tile reads: the image itself, or `stage` (whose zeros outside the image are written here).
    Source source(const Place& place, Stage& stage) const {
        const std::int64_t h = place.h - image_.pad_top, w = place.w - image_.pad_left;
        Source source{first(place), image_.stride_h, image_.stride_w, false, {0, kSize, 0, kSize}};
        if (h >= 0 && h + kSize <= image_.h && w >= 0 && w + kSize <= image_.w) return source;
        clip_span(h, kSize, image_.h, source.clip.row, source.clip.rows);
        clip_span(w, kSize, image_.w, source.clip.column, source.clip.columns);
        source.staged = true;
        if constexpr (kLaneMultiply) {
            clear_around(source.clip, stage);
        } else {
            clear(stage, 0, kSize * kSize);  // as fast with wide stores, and less code
        }
        return source;
    }

    // Channels [c, c + count) of what is in the image, into `stage`, in whole vectors.
    void fill(const Source& source, std::int64_t c, std::int64_t count, Stage& stage) const {
        const int tail = static_cast<int>(count % L);
        const std::int64_t whole = count - tail;
        for (std::int64_t i = source.clip.row; i < source.clip.row + source.clip.rows; ++i) {
            const Memory* from = source.data + c + i * source.row + source.clip.column * source.column;
            T* to = stage.pixels + (i * kSize + source.clip.column) * kChunk;
            for (std::int64_t j = source.clip.columns; j > 0; --j, from += source.column, to += kChunk) {
                if (whole == kChunk) {
                    Vec<T> pixel[kChunk / L];  // loads and stores pair
                    unroll<kChunk / L>([&](auto v) THEW_FLAT { pixel[v] = load_widened(from + v * L); });
                    unroll<kChunk / L>([&](auto v) THEW_FLAT { store(to + v * L, pixel[v]); });
                    continue;
                }
                for (std::int64_t n = 0; n < whole; n += L) store(to + n, load_widened(from + n));
                if (tail > 0) store(to + whole, load_widened_partial(from + whole, tail));
            }
        }
    }

private:
    static void clear(Stage& stage, std::int64_t first, std::int64_t last) {  // pixels
        for (std::int64_t i = first * kChunk; i < last * kChunk; i += L) store(stage.pixels + i, Vec<T>{});
    }
    static void clear_around(const Clip& clip, Stage& stage) {
        const std::int64_t below = clip.row + clip.rows;
        clear(stage, 0, clip.row * kSize);
        for (std::int64_t i = clip.row; i < below; ++i) {
            clear(stage, i * kSize, i * kSize + clip.column);
            clear(stage, i * kSize + clip.column + clip.columns, i * kSize + kSize);
        }
        clear(stage, below * kSize, kSize * kSize);
    }
};

}  // namespace
}  // namespace thew
