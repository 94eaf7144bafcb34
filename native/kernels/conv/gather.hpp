// Where rows of a are when they are patches of x: run by run of the window, zeros where it leaves the image.
#pragma once

#include "kernels/conv/contract.hpp"
#include "kernels/matmul/driver.hpp"

namespace thew {
namespace {

// The window's place for one output pixel.
struct Place {
    std::int64_t image, h, w;  // offset of the image in x; row and column of the window's first tap
};

// Steps through output pixels in row order.
class Pixels {
public:
    Pixels(const Patches& patches, std::int64_t first) : p_(patches) {
        j_ = first % p_.out_w;
        i_ = first / p_.out_w % p_.out_h;
        n_ = first / p_.out_w / p_.out_h;
    }
    Place place() const { return {n_ * p_.x_n, i_ * p_.stride_h - p_.pad_h, j_ * p_.stride_w - p_.pad_w}; }
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
        for (std::int64_t k = k0; k < k1;) {
            std::int64_t count = k1 - k < p.run - c ? k1 - k : p.run - c;
            if (count > kMostPiece) count = kMostPiece;
            const T* from[R];
            for (int r = 0; r < R; ++r) {
                const std::int64_t h = places[r].h + kh * p.dilation_h, w = places[r].w + kw * p.dilation_w;
                const bool inside = h >= 0 && h < p.in_h && w >= 0 && w < p.in_w;
                from[r] = inside ? x + places[r].image + h * p.x_h + w * p.x_w + c * p.x_c : kZeros<T>;
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
        std::int64_t run = k0 / p.run, skipped = k0 % p.run, plane = run / p.kh, kh = run % p.kh;
        for (std::int64_t k = k0; k < k1;) {
            std::int64_t count = k1 - k < p.run - skipped ? k1 - k : p.run - skipped;
            if (count > kMostPiece) count = kMostPiece;
            const T* from[R];
            for (int r = 0; r < R; ++r) {
                const std::int64_t h = places[r].h + kh * p.dilation_h, w = places[r].w * p.unit + skipped;
                const bool inside = h >= 0 && h < p.in_h;
                const T* row = x + places[r].image + plane * p.x_c + h * p.x_h;
                from[r] = inside ? part(row, w, count, staging.rows[r]) : kZeros<T>;
            }
            piece(k - k0, from, count);
            k += count;
            skipped += count;
            if (skipped < p.run) continue;
            skipped = 0;
            if (++kh < p.kh) continue;
            kh = 0;
            ++plane;
        }
    }

    // Elements [w, w + count) of an image row, zeros where it has none.
    THEW_INLINE const T* part(const T* row, std::int64_t w, std::int64_t count, T* staging) const {
        const std::int64_t width = p.in_w * p.unit;
        if (w >= 0 && w + count <= width) return row + w;
        return staged(row, w, count, width, staging);
    }
    static const T* staged(const T* row, std::int64_t w, std::int64_t count, std::int64_t width, T* staging) {
        for (std::int64_t i = 0; i < count; ++i) staging[i] = w + i >= 0 && w + i < width ? row[w + i] : T{};
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
