// First layers: images of a few planes, whose patches are read where they lie. Along one row of the output the taps of
// neighbouring pixels are stride_w apart in a row of x, so that the broadcasts of a tile address x itself, window row
// by window row: nothing is gathered. Only the border asks for a copy: bands of rows, a few output rows each, are laid
// out with their padding, and stay in the first levels of cache while the tiles pass over them.
//
// k runs over (plane, window row, window column), as the weights are packed.
#pragma once

#include "kernels/conv/contract.hpp"
#include "kernels/matmul/driver.hpp"

namespace thew {
namespace {

template <class T>
struct DirectTile {
    const T* pixels;              // the tile's first pixel at tap (plane 0, row 0, column 0)
    const std::int64_t* segment;  // where each of `segments` window rows begins, from there
    std::int64_t segments, taps;  // taps: of a window row
    std::int64_t pixel_step, tap_step;
    const T* b;
};

template <class T, int H, int V>
void direct_tile(const DirectTile<T>& at, const Write<T>& write) {
    Vec<T> acc[H][V];
    begin_tile(acc, write, at.segments);
    const T* b = at.b;
    const auto nothing = [] THEW_FLAT {};
    for (std::int64_t s = 0; s < at.segments; ++s, b += at.taps * V * kLanes<T>) {
        if (s < H) prefetch_row<V>(write, static_cast<int>(s));
        Broadcast::multiply<Plain<T>, H, V, false>(at.pixels + at.segment[s], at.pixel_step, at.tap_step, b, at.taps,
                                                   nothing, acc);
    }
    end_tile(acc, write);
}

template <class T, int H, int V>
struct DirectTiles {
    using Kernel = void (*)(const DirectTile<T>& at, const Write<T>& write);
    static constexpr int kRows = H, kPanel = V * kLanes<T>;
    Kernel kernels[H][V];

    constexpr DirectTiles() : kernels() { fill(std::make_integer_sequence<int, H * V>{}); }

private:
    template <int... I>
    constexpr void fill(std::integer_sequence<int, I...>) {
        ((kernels[I / V][I % V] = direct_tile<T, I / V + 1, I % V + 1>), ...);
    }
};

// Output lines (rows of all images, one after the other) of one worker, band by band.
template <class T, class Tiles>
class DirectWork {
    const Product& p_;
    const Patches& x_;
    T* band_;  // [planes][band_lines][band_width]
    std::int64_t planes_, band_lines_, segment_[kMostSegments];

public:
    DirectWork(const Product& product, const Patches& patches, std::byte* scratch)
        : p_(product), x_(patches), band_(reinterpret_cast<T*>(scratch)) {
        planes_ = p_.k / (x_.kh * x_.kw);
        band_lines_ = (x_.band_rows - 1) * x_.stride_h + (x_.kh - 1) * x_.dilation_h + 1;
        for (std::int64_t s = 0; s < planes_ * x_.kh; ++s) {
            segment_[s] = (s / x_.kh * band_lines_ + s % x_.kh * x_.dilation_h) * x_.band_width;
        }
    }

    // Output rows [first, last) of image n, at most band_rows of them.
    void rows(std::int64_t n, std::int64_t first, std::int64_t last) {
        const T* image = static_cast<const T*>(p_.a) + n * x_.x_n;
        const std::int64_t lines = (last - first - 1) * x_.stride_h + (x_.kh - 1) * x_.dilation_h + 1;
        for (std::int64_t c = 0; c < planes_; ++c) {
            for (std::int64_t line = 0; line < lines; ++line) {
                copy_line(band_ + (c * band_lines_ + line) * x_.band_width, image + c * x_.x_c,
                          first * x_.stride_h - x_.pad_h + line);
            }
        }
        for (std::int64_t column = 0; column < p_.n; column += Tiles::kPanel) {
            for (std::int64_t row = first; row < last; ++row) multiply_row(n, first, row, column);
        }
    }

private:
    // Row h of a plane from column −pad_w on, with zeros where the image has none.
    void copy_line(T* to, const T* plane, std::int64_t h) const {
        const std::int64_t width = x_.band_width, pad = x_.pad_w;
        auto within = [](std::int64_t i, std::int64_t low, std::int64_t high) {
            return i < low ? low : i < high ? i : high;
        };
        const std::int64_t begin = h < 0 || h >= x_.in_h ? width : within(pad, 0, width);
        const std::int64_t end = within(x_.in_w + pad, begin, width);
        for (std::int64_t i = 0; i < begin; ++i) to[i] = T{0};
        const T* from = plane + h * x_.x_h + (begin - pad) * x_.x_w;
        if (x_.x_w == 1 && end > begin) {
            copy_run(to + begin, from, end - begin);
        } else {
            for (std::int64_t i = 0; i < end - begin; ++i) to[begin + i] = from[i * x_.x_w];
        }
        for (std::int64_t i = end; i < width; ++i) to[i] = T{0};
    }

    void multiply_row(std::int64_t n, std::int64_t first, std::int64_t row, std::int64_t column) const {
        const int columns = static_cast<int>(p_.n - column < Tiles::kPanel ? p_.n - column : Tiles::kPanel);
        const int vectors = (columns + kLanes<T> - 1) / kLanes<T>;
        const Walk& walk = p_.row;  // over (n, h, w)
        Write<T> write{};
        write.c = static_cast<T*>(p_.c) + n * walk.c[0] + row * walk.c[1] + column;
        if (p_.residual) {
            write.addend = static_cast<const T*>(p_.residual) + n * walk.residual[0] + row * walk.residual[1] + column;
        }
        write.bias = p_.bias ? static_cast<const T*>(p_.bias) + column : nullptr;
        write.columns = columns;
        set_activation(write, p_.epilogue);
        std::int64_t c_offset[Tiles::kRows], addend_offset[Tiles::kRows];
        for (std::int64_t i = 0; i < Tiles::kRows; ++i) {
            c_offset[i] = i * walk.c[2];
            addend_offset[i] = i * walk.residual[2];
        }
        write.c_offset = c_offset;
        write.addend_offset = addend_offset;
        DirectTile<T> at{band_ + (row - first) * x_.stride_h * x_.band_width,
                         segment_,
                         planes_ * x_.kh,
                         x_.kw,
                         x_.stride_w,
                         x_.dilation_w,
                         static_cast<const T*>(p_.b) + column * p_.k};
        const Panels panels(x_.out_w, Tiles::kRows, 1);
        for (std::int64_t panel = 0; panel < panels.count; ++panel) {
            const int height = panels.height(panel);
            kTiles.kernels[height - 1][vectors - 1](at, write);
            at.pixels += height * x_.stride_w;
            write.c += height * walk.c[2];
            if (write.addend) write.addend += height * walk.residual[2];
        }
    }

    static constexpr Tiles kTiles{};
};

// Rows [product.first, product.m) of the product, whole output lines.
template <class T, class Tiles>
void run_direct(const Product& product, const Patches& patches, const Workers& workers, std::byte* scratch) {
    if (product.m == 0) return;
    const std::int64_t first = product.first / patches.out_w, last = product.m / patches.out_w;
    auto body = [&](std::int64_t band, int worker) {
        DirectWork<T, Tiles> work(product, patches, scratch + worker * patches.band_bytes);
        std::int64_t line = first + band * patches.band_rows;
        const std::int64_t end = line + patches.band_rows < last ? line + patches.band_rows : last;
        while (line < end) {  // a band may reach from one image into the next
            const std::int64_t n = line / patches.out_h,
                               next = (n + 1) * patches.out_h < end ? (n + 1) * patches.out_h : end;
            work.rows(n, line - n * patches.out_h, next - n * patches.out_h);
            line = next;
        }
    };
    parallel_for(workers, (last - first + patches.band_rows - 1) / patches.band_rows, body);
}

}  // namespace
}  // namespace thew
