// Packs rows of a from patches of x: run by run of the window, zeros where it leaves the image.
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
    Place place() const {
        return {n_ * p_.x_n, i_ * p_.stride_h - p_.pad_h, j_ * p_.stride_w - p_.pad_w};
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

template <class T>
THEW_INLINE void copy_run(T* to, const T* from, std::int64_t count) {
    std::int64_t i = 0;
    for (; i + kLanes<T> <= count; i += kLanes<T>) store(to + i, load(from + i));
    if (i < count) store_partial(to + i, load_partial(from + i, static_cast<int>(count - i)), static_cast<int>(count - i));
}

template <class T>
THEW_INLINE void zero_run(T* to, std::int64_t count) {
    std::int64_t i = 0;
    for (; i + kLanes<T> <= count; i += kLanes<T>) store(to + i, Vec<T>{});
    if (i < count) store_partial(to + i, Vec<T>{}, static_cast<int>(count - i));
}

// Runs over channels: tap (h, w) of the window, all channels of the group side by side.
template <class T>
struct ChannelRuns {
    const Patches& p;

    void pack(T* to, std::int64_t ld, const T* x, std::int64_t first, std::int64_t last, std::int64_t k0,
              std::int64_t k1) const {
        Pixels pixels(p, first);
        for (std::int64_t row = first; row < last; ++row, to += ld, pixels.advance()) {
            pack_row(to, x, pixels.place(), k0, k1);
        }
    }

    void pack_row(T* to, const T* x, Place place, std::int64_t k0, std::int64_t k1) const {
        std::int64_t tap = k0 / p.run, c = k0 % p.run;
        std::int64_t kh = tap / p.kw, kw = tap % p.kw;
        x += place.image;
        for (std::int64_t k = k0; k < k1;) {
            const std::int64_t count = k1 - k < p.run - c ? k1 - k : p.run - c;
            const std::int64_t h = place.h + kh * p.dilation_h, w = place.w + kw * p.dilation_w;
            if (h < 0 || h >= p.in_h || w < 0 || w >= p.in_w) {
                zero_run(to, count);
            } else if (p.x_c == 1) {
                copy_run(to, x + h * p.x_h + w * p.x_w + c, count);
            } else {
                const T* from = x + h * p.x_h + w * p.x_w + c * p.x_c;
                for (std::int64_t i = 0; i < count; ++i) to[i] = from[i * p.x_c];
            }
            to += count;
            k += count;
            c = 0;
            if (++kw == p.kw) {
                kw = 0;
                ++kh;
            }
        }
    }
};

// Runs along the width: plane and window row, then all taps of that row side by side.
template <class T>
struct WidthRuns {
    const Patches& p;

    void pack(T* to, std::int64_t ld, const T* x, std::int64_t first, std::int64_t last, std::int64_t k0,
              std::int64_t k1) const {
        Pixels pixels(p, first);
        for (std::int64_t row = first; row < last; ++row, to += ld, pixels.advance()) {
            pack_row(to, x, pixels.place(), k0, k1);
        }
    }

    void pack_row(T* to, const T* x, Place place, std::int64_t k0, std::int64_t k1) const {
        std::int64_t run = k0 / p.run, skipped = k0 % p.run;
        std::int64_t plane = run / p.kh, kh = run % p.kh;
        const std::int64_t width = p.in_w * p.unit;
        x += place.image + place.w * p.unit;
        for (std::int64_t k = k0; k < k1;) {
            const std::int64_t count = k1 - k < p.run - skipped ? k1 - k : p.run - skipped;
            const std::int64_t h = place.h + kh * p.dilation_h, w = place.w * p.unit + skipped;
            if (h < 0 || h >= p.in_h || w >= width || w + count <= 0) {
                zero_run(to, count);
            } else {
                const T* from = x + plane * p.x_c + h * p.x_h + skipped;
                const std::int64_t begin = w < 0 ? -w : 0, end = width - w < count ? width - w : count;
                if (begin > 0) zero_run(to, begin);
                copy_run(to + begin, from + begin, end - begin);
                if (end < count) zero_run(to + end, count - end);
            }
            to += count;
            k += count;
            skipped = 0;
            if (++kh == p.kh) {
                kh = 0;
                ++plane;
            }
        }
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
