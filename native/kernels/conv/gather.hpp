// Where rows of a are when they are patches of x: run by run of the window, zeros where it leaves the image.
#pragma once

#include "kernels/conv/contract.hpp"
#include "kernels/matmul/driver.hpp"

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
        const bool inside = h >= 0 && h + (p_.kh - 1) * p_.dilation_h < p_.in_h && w >= 0 &&
                            w + (p_.kw - 1) * p_.dilation_w < p_.in_w;
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
                from[r] = inside ? tap_first + places[r].first : kZeros<T>;
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
        if (h < 0 || h >= p.in_h || w >= width || w + count <= 0) return kZeros<T>;
        const std::int64_t begin = w < 0 ? -w : 0, end = w + count > width ? width - w : count;
        if (begin == 0 && end == count) return from;
        copy_run(staging, kZeros<T>, begin);
        copy_run(staging + begin, from + begin, end - begin);
        copy_run(staging + end, kZeros<T>, count - end);
        return staging;
    }
};

template <class T, class Tiles>
void run_patches(const Product& product, const Patches& patches, const Workers& workers, std::byte* packed_a) {
    if (patches.width_runs) {
        const WidthRuns<T> rows{patches};
        Driver<T, Tiles, WidthRuns<T>>(product, rows, packed_a).run(workers);
    } else {
        const ChannelRuns<T> rows{patches};
        Driver<T, Tiles, ChannelRuns<T>>(product, rows, packed_a).run(workers);
    }
}

}  // namespace
}  // namespace thew
