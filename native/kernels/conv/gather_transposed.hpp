// Where rows of a are taps and channels and k runs over output pixels: patches of x turned around, as the gradient of
// the weights wants them. Rows are (kh, kw, c), so a vector of rows is one load where it stays within a tap and
// channels are neighbours in memory (Blocking::unit sees to the first); otherwise elements go one by one.
#pragma once

#include "kernels/conv/gather.hpp"

namespace thew {
namespace {

template <class N>
struct TapColumns {
    using T = typename N::Memory;
    using A = Lane<N>;
    static constexpr bool kColumns = true;
    static constexpr int L = kLanes<A>;
    const Patches& p;

    template <class Column>
    void columns(const T* x, std::int64_t row, int count, std::int64_t k0, std::int64_t k1, Column& column) const {
        const std::int64_t channels = p.run, c = row % channels;
        if (p.x_c == 1 && c + count <= channels) {
            if (c + L <= channels) {
                tap(x, row, k0, k1, column, [](const T* at) THEW_FLAT { return load_lanes<A>(at, L); });
            } else {
                tap(x, row, k0, k1, column, [=](const T* at) THEW_FLAT { return load_lanes<A>(at, count); });
            }
        } else {
            one_by_one(x, row, count, k0, k1, column);
        }
    }

private:
    // Pixels of one output row at a time: those before and after the image are zeros.
    template <class Column, class Load>
    THEW_INLINE void tap(const T* x, std::int64_t row, std::int64_t k0, std::int64_t k1, Column& column,
                         const Load& load_at) const {
        const std::int64_t of_tap = row / p.run, c = row % p.run;
        const std::int64_t down = of_tap / p.kw * p.dilation_h - p.pad_h;
        const std::int64_t right = of_tap % p.kw * p.dilation_w - p.pad_w;
        const std::int64_t begin = right < 0 ? (-right + p.stride_w - 1) / p.stride_w : 0;
        const std::int64_t end = right >= p.in_w ? 0 : (p.in_w - right + p.stride_w - 1) / p.stride_w;
        const std::int64_t step = p.stride_w * p.x_w;
        std::int64_t j = k0 % p.out_w, i = k0 / p.out_w % p.out_h, n = k0 / p.out_w / p.out_h;
        for (std::int64_t k = k0; k < k1; j = 0) {
            const std::int64_t last = p.out_w - j < k1 - k ? p.out_w : j + (k1 - k);
            const std::int64_t h = i * p.stride_h + down;
            const bool outside = h < 0 || h >= p.in_h;
            const std::int64_t stop = outside ? j : end < last ? end : last;
            for (; j < stop && j < begin; ++j, ++k) column(k - k0, Vec<A>{});
            const T* at = x + n * p.x_n + h * p.x_h + (j * p.stride_w + right) * p.x_w + c;
            for (; j < stop; ++j, ++k, at += step) column(k - k0, load_at(at));
            for (; j < last; ++j, ++k) column(k - k0, Vec<A>{});
            if (++i < p.out_h) continue;
            i = 0;
            ++n;
        }
    }

    template <class Column>
    void one_by_one(const T* x, std::int64_t row, int count, std::int64_t k0, std::int64_t k1, Column& column) const {
        std::int64_t down[L], right[L], offset[L];
        for (int i = 0; i < count; ++i) {
            const std::int64_t tap = (row + i) / p.run, c = (row + i) % p.run;
            down[i] = tap / p.kw * p.dilation_h;
            right[i] = tap % p.kw * p.dilation_w;
            offset[i] = down[i] * p.x_h + right[i] * p.x_w + c * p.x_c;
        }
        T lanes[L] = {};
        Pixels pixels(p, k0);
        for (std::int64_t k = k0; k < k1; ++k, pixels.advance()) {
            const Place place = pixels.place();
            for (int i = 0; i < count; ++i) {
                const std::int64_t h = place.h + down[i], w = place.w + right[i];
                const bool inside = place.inside || (h >= 0 && h < p.in_h && w >= 0 && w < p.in_w);
                lanes[i] = inside ? x[place.first + offset[i]] : T{};
            }
            column(k - k0, load_lanes<A>(lanes, L));
        }
    }
};

template <class Tiles>
void run_grad_weight(const Product& product, const Patches& patches, const Workers& workers, std::byte* packed_a) {
    using Rows = TapColumns<typename Tiles::Numbers>;
    const Rows rows{patches};
    Driver<Tiles, Rows>(product, rows, packed_a).run(workers);
}

}  // namespace
}  // namespace thew
