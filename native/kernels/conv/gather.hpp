// Where rows of a are when they are patches of x: run by run of the window, zeros where it leaves the image.
#pragma once

#include "kernels/conv/contract.hpp"
#include "kernels/matmul/tiles.hpp"

namespace thew {
namespace {

// The window's place for one output pixel.
struct Place {
    std::int64_t first, h, w;  // offset in x of the window's first tap, its row and column
    bool inside;               // the whole window is in the image
};

template <int R>
THEW_INLINE bool all_inside(const Place (&places)[R]) {
    bool inside = true;
    for (int r = 0; r < R; ++r) inside &= places[r].inside;
    return inside;
}

// What lies around the image: kMostPiece elements.
template <class T>
THEW_INLINE const T* around(const Patches& patches) {
    return patches.around ? static_cast<const T*>(patches.around) : kZeros<T>;
}

// Steps through output pixels in row order.
class Pixels {
public:
    Pixels(const Patches& patches, std::int64_t first) : p_(patches) {
        j_ = first % p_.out_w;
        i_ = first / p_.out_w % p_.out_h;
        n_ = first / p_.out_w / p_.out_h;
    }
    Place place() const {
        const std::int64_t h = i_ * p_.stride_h - p_.pad_h, w = j_ * p_.stride_w - p_.pad_w;
        const bool inside =
            h >= 0 && h + (p_.kh - 1) * p_.dilation_h < p_.in_h && w >= 0 && w + (p_.kw - 1) * p_.dilation_w < p_.in_w;
        return {n_ * p_.x_n + h * p_.x_h + w * p_.x_w, h, w, inside};
    }
    void advance() {
        if (++j_ < p_.out_w) return;
        j_ = 0;
        if (++i_ < p_.out_h) return;
        i_ = 0;
        ++n_;
    }

private:
    const Patches& p_;
    std::int64_t n_, i_, j_;
};

// Runs over channels: tap (h, w) of the window, all channels of the group.
template <class T>
struct ChannelRuns {
    static constexpr bool kColumns = false;
    const Patches& p;

    Pixels start(std::int64_t row) const { return Pixels(p, row); }

    template <int R, class Piece>
    void visit(const T* x, const Place (&places)[R], std::int64_t k0, std::int64_t k1, Staging<T, R>& staging,
               const Piece& piece) const {
        std::int64_t tap = k0 / p.run, c = k0 % p.run, kh = tap / p.kw, kw = tap % p.kw;
        const bool all = all_inside(places);
        for (std::int64_t k = k0; k < k1;) {
            std::int64_t count = k1 - k < p.run - c ? k1 - k : p.run - c;
            if (count > kMostPiece) count = kMostPiece;
            const T* from[R];
            const T* tap_first = x + kh * p.dilation_h * p.x_h + kw * p.dilation_w * p.x_w + c * p.x_c;
            for (int r = 0; r < R; ++r) {
                const std::int64_t h = places[r].h + kh * p.dilation_h, w = places[r].w + kw * p.dilation_w;
                const bool inside = all || (h >= 0 && h < p.in_h && w >= 0 && w < p.in_w);
                from[r] = inside ? tap_first + places[r].first : around<T>(p);
                if (p.x_c == 1 || !inside) continue;
                for (std::int64_t i = 0; i < count; ++i) staging.rows[r][i] = from[r][i * p.x_c];
                from[r] = staging.rows[r];
            }
            piece(k - k0, from, count);
            k += count;
            c += count;
            if (c < p.run) continue;
            c = 0;
            if (++kw < p.kw) continue;
            kw = 0;
            ++kh;
        }
    }
};

// Runs along the width: plane and window row, then all taps of that row.
template <class T>
struct WidthRuns {
    static constexpr bool kColumns = false;
    const Patches& p;

    Pixels start(std::int64_t row) const { return Pixels(p, row); }

    template <int R, class Piece>
    void visit(const T* x, const Place (&places)[R], std::int64_t k0, std::int64_t k1, Staging<T, R>& staging,
               const Piece& piece) const {
        std::int64_t run = k0 / p.run, skipped = k0 % p.run, kh = run % p.kh;
        const std::int64_t row_step = p.dilation_h * p.x_h, plane_step = p.x_c - (p.kh - 1) * row_step;
        const T* run_first = x + run / p.kh * p.x_c + kh * row_step;
        const bool all = all_inside(places);
        for (std::int64_t k = k0; k < k1;) {
            std::int64_t count = k1 - k < p.run - skipped ? k1 - k : p.run - skipped;
            if (count > kMostPiece) count = kMostPiece;
            const T* from[R];
            for (int r = 0; r < R; ++r) {
                from[r] = run_first + skipped + places[r].first;
                if (!all) from[r] = part(from[r], places[r], kh, skipped, count, staging.rows[r]);
            }
            piece(k - k0, from, count);
            k += count;
            skipped += count;
            if (skipped < p.run) continue;
            skipped = 0;
            run_first += ++kh < p.kh ? row_step : plane_step;
            if (kh == p.kh) kh = 0;
        }
    }

    // The elements at `from` if they are all in the image; else staged, with zeros where the image has none.
    const T* part(const T* from, const Place& place, std::int64_t kh, std::int64_t skipped, std::int64_t count,
                  T* staging) const {
        const std::int64_t h = place.h + kh * p.dilation_h, w = place.w * p.unit + skipped, width = p.in_w * p.unit;
        if (h < 0 || h >= p.in_h || w >= width || w + count <= 0) return around<T>(p);
        const std::int64_t begin = w < 0 ? -w : 0, end = w + count > width ? width - w : count;
        if (begin == 0 && end == count) return from;
        copy_run(staging, around<T>(p), begin);
        copy_run(staging + begin, from + begin, end - begin);
        copy_run(staging + end, around<T>(p), count - end);
        return staging;
    }
};

// Images of planes: neighbouring output pixels lie `stride_w` (1 or 2) apart for any one tap, so that a vector of them
// is one or two loads. A row of the window that leaves the image is staged between zeros; where a vector of pixels runs
// over the end of an output row, elements go one by one.
template <class T, class A>  // A is what a column's elements are handed over as: as they are, widened, or their bits
struct PlaneColumns {
    static constexpr bool kColumns = true;
    static constexpr int L = kLanes<A>;
    static constexpr std::int64_t kMostTaps = 64, kMostRead = kMostTaps + 2 * L;  // of a row of the window at a time
    static_assert(kMostRead <= kMostPiece);
    const Patches& p;

    template <int... I>
    static THEW_INLINE Vec<A> evens(Vec<A> low, Vec<A> high, std::integer_sequence<int, I...>) {
        return __builtin_shufflevector(low, high, 2 * I...);
    }

    template <class Column>
    void columns(const T* x, std::int64_t row, int count, std::int64_t k0, std::int64_t k1, Column& column) const {
        const Place first = Pixels(p, row).place();
        const std::int64_t in_h = p.in_h, window_w = p.kw, window_h = p.kh, last = k1 - k0;
        const bool one_row = row % p.out_w + count <= p.out_w;
        const bool within = first.w >= 0 && first.w + window_w - 1 + p.stride_w * L <= p.in_w;
        const std::int64_t run = k0 / window_w, line = p.dilation_h * p.x_h, next_plane = p.x_c - window_h * line;
        std::int64_t kw = k0 % window_w, kh = run % window_h, h = first.h + kh * p.dilation_h;
        x += run / window_h * p.x_c + kh * line + (one_row ? first.first : 0);
        const bool inside = one_row && within && first.h >= 0 && first.h + (window_h - 1) * p.dilation_h < in_h;
        if (inside && kw == 0 && last % window_w == 0) {
            const WindowRows rows{kh, last, line, next_plane, window_h};
            return p.stride_w == 1 ? hand_over_rows<1>(x, rows, column) : hand_over_rows<2>(x, rows, column);
        }
        T staging[kMostRead];
        for (std::int64_t k = 0; k < last;) {
            std::int64_t taps = last - k < window_w - kw ? last - k : window_w - kw;
            if (taps > kMostTaps) taps = kMostTaps;
            if (one_row) {
                const T* from = x + kw;
                if (h < 0 || h >= in_h) {
                    from = kZeros<T>;
                } else if (!within) {
                    from = staged(from, first.w + kw, taps - 1 + p.stride_w * L, staging);
                }
                p.stride_w == 1 ? hand_over<1>(from, k, taps, column) : hand_over<2>(from, k, taps, column);
            } else {
                for (int t = 0; t < taps; ++t) column(k + t, one_by_one(x, row, count, kh, kw + t));
            }
            k += taps;
            if ((kw += taps) < window_w) continue;
            kw = 0;
            x += line;
            h += p.dilation_h;
            if (++kh < window_h) continue;
            kh = 0;
            x += next_plane;
            h = first.h;
        }
    }

    // Pixels S apart.
    template <int S>
    static THEW_INLINE Vec<A> pixels(const T* from) {
        if constexpr (S == 1) return load_lanes<A>(from, L);
        constexpr std::make_integer_sequence<int, L> kEvens;
        return evens(load_lanes<A>(from, L), load_lanes<A>(from + L, L), kEvens);
    }

    // The vectors of `taps` neighbouring taps.
    template <int S, class Column>
    static THEW_INLINE void hand_over(const T* from, std::int64_t k, std::int64_t taps, Column& column) {
        if (k < 0) __builtin_unreachable();  // a column's place in its group is then a shift and a mask
        for (const std::int64_t last = k + taps; k < last; ++k, ++from) column(k, pixels<S>(from));
    }

    // Rows of windows that lie in the image: which row of the window is first, all their taps, from a row to the next,
    // what a plane's last one adds to that, and how many a plane has.
    struct WindowRows {
        std::int64_t kh, taps, line, next_plane, in_plane;
    };
    static THEW_INLINE void next_row(const T*& x, WindowRows& rows) {
        x += rows.line;
        if (++rows.kh < rows.in_plane) return;
        rows.kh = 0;
        x += rows.next_plane;
    }

    template <int S, class Column>
    THEW_INLINE void hand_over_rows(const T* x, WindowRows rows, Column& column) const {
        const std::int64_t window_w = p.kw;
        if constexpr (kLaneMultiply) {
            if (window_w == 3) return hand_over_groups<S, 3>(x, rows, column);
            if (window_w == 5) return hand_over_groups<S, 5>(x, rows, column);
            if (window_w == 7) return hand_over_groups<S, 7>(x, rows, column);
        }
        for (std::int64_t k = 0; k < rows.taps; k += window_w, next_row(x, rows)) hand_over<S>(x, k, window_w, column);
    }

    // As many rows of W taps a turn as a group has k, so that every place in the packed groups is known.
    template <int S, int W, class Column>
    THEW_INLINE void hand_over_groups(const T* x, WindowRows rows, Column& column) const {
        constexpr int kGroup = Column::kGroup;
        for (std::int64_t k = 0; k < rows.taps; k += kGroup * W) {
            unroll<kGroup>([&](auto r) THEW_FLAT {
                if (k + r * W >= rows.taps) return;
                unroll<W>([&](auto t) THEW_FLAT { column.template after<r * W + t>(k, pixels<S>(x + t)); });
                next_row(x, rows);
            });
        }
    }

    // `count` elements from column w of a row of x on, with zeros where there is none.
    __attribute__((noinline)) const T* staged(const T* at, std::int64_t w, std::int64_t count, T* staging) const {
        const std::int64_t begin = w < 0 ? -w : 0, end = w + count < p.in_w ? count : p.in_w - w;
        copy_run(staging, kZeros<T>, count);
        if (begin < end) copy_run(staging + begin, at + begin, end - begin);
        return staging;
    }

    // Of one tap, in row kh of the window: `line` is where a window that begins at the plane's first pixel has that
    // row.
    __attribute__((noinline)) Vec<A> one_by_one(const T* line, std::int64_t row, int count, std::int64_t kh,
                                                std::int64_t kw) const {
        T lanes[L] = {};
        Pixels pixels(p, row);
        for (int i = 0; i < count; ++i, pixels.advance()) {
            const Place place = pixels.place();
            const std::int64_t h = place.h + kh * p.dilation_h, w = place.w + kw;
            if (h < 0 || h >= p.in_h || w < 0 || w >= p.in_w) continue;
            lanes[i] = line[place.first + kw];
        }
        return load_lanes<A>(lanes, L);
    }
};

template <class Tiles>
void run_patches(const Product& product, const Patches& patches, const Workers& workers, std::byte* packed_a) {
    using T = typename Tiles::Numbers::Memory;
    if constexpr (Tiles::Multiply::kTakesColumns) {
        if (patches.columns) {
            using Rows = PlaneColumns<T, Lane<typename Tiles::Numbers>>;
            const Rows rows{patches};
            return Driver<Tiles, Rows>(product, rows, packed_a).run(workers);
        }
    }
    if (patches.width_runs) {
        const WidthRuns<T> rows{patches};
        Driver<Tiles, WidthRuns<T>>(product, rows, packed_a).run(workers);
    } else {
        const ChannelRuns<T> rows{patches};
        Driver<Tiles, ChannelRuns<T>>(product, rows, packed_a).run(workers);
    }
}

}  // namespace
}  // namespace thew
