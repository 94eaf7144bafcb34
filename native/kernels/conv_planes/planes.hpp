// Copies of planes with room around them: zeros where windows leave the image, and after each row as many more as the
// last vector of pixels reads.
#pragma once

#include "kernels/conv_batch/ranges.hpp"
#include "kernels/conv_planes/contract.hpp"

namespace thew {
namespace {

// The copy of x. A pixel (i, j) of y reads rows i + kh·dilation and columns j + kw·dilation of it.
struct Planes {
    std::int64_t rows, pitch, vectors;  // vectors of pixels in a row of y

    template <class T>
    static Planes of(const BatchConv& conv, T) {
        const std::int64_t vectors = (conv.out_w + kLanes<T> - 1) / kLanes<T>;
        return {conv.out_h + (conv.kh - 1) * conv.dilation_h, vectors * kLanes<T> + (conv.kw - 1) * conv.dilation_w,
                vectors};
    }
    std::int64_t elements(const BatchConv& conv) const { return conv.n * conv.c * rows * pitch; }
};

// `count` elements of which those before `pad` and beyond `extent` more are 0.
template <class T>
void copy_row(T* to, const T* from, std::int64_t pad, std::int64_t extent, std::int64_t count) {
    std::int64_t j = 0;
    for (; j < pad && j < count; ++j) to[j] = T{0};
    const std::int64_t skipped = pad < 0 ? -pad : 0, left = extent - skipped;
    const std::int64_t end = left <= 0 ? j : j + left < count ? j + left : count;
    const T* at = from + skipped - j;
    for (; j + kLanes<T> <= end; j += kLanes<T>) store(to + j, load(at + j));
    for (; j < end; ++j) to[j] = at[j];
    for (; j + kLanes<T> <= count; j += kLanes<T>) store(to + j, Vec<T>{});
    for (; j < count; ++j) to[j] = T{0};
}

template <class T>
void copy_planes(const BatchConv& conv, const Planes& planes, const T* x, T* to, const Workers& workers) {
    auto body = [&](std::int64_t plane, int) {
        const T* from = x + plane / conv.c * conv.x_n + plane % conv.c * conv.x_c;
        T* row = to + plane * planes.rows * planes.pitch;
        for (std::int64_t r = 0; r < planes.rows; ++r, row += planes.pitch) {
            const std::int64_t i = r - conv.pad_h;
            const bool inside = i >= 0 && i < conv.in_h;
            copy_row(row, inside ? from + i * conv.x_h : from, conv.pad_w, inside ? conv.in_w : 0, planes.pitch);
        }
    };
    parallel_for(workers, conv.n * conv.c, body);
}

}  // namespace
}  // namespace thew
