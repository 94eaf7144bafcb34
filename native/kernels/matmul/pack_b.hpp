// Packs b into panels of `Panel` columns (the last as many as whole vectors need): panel by panel, within one k by k,
// the columns of a k side by side. Columns past n and rows past k are zero. Rows that lie side by side are read for
// several panels at a time: a panel's share of a row is two cache lines, and one line pair a page starves the
// prefetcher.
#pragma once

#include "kernels/matmul/pack_turned.hpp"

namespace thew {
namespace {

template <class T>
THEW_INLINE void pack_b_row(T* to, const T* from, std::int64_t n_stride, std::int64_t columns, std::int64_t width) {
    if (n_stride == 1) {
        for (std::int64_t n = 0; n < columns; ++n) to[n] = from[n];
    } else {
        for (std::int64_t n = 0; n < columns; ++n) to[n] = from[n * n_stride];
    }
    for (std::int64_t n = columns; n < width; ++n) to[n] = T{};
}

// Panels `panel` … `panel` + Count - 1, all full, of rows whose columns lie side by side.
template <class T, int Panel, int Count>
void pack_full_panels(const UnpackedB& b, std::int64_t panel, std::int64_t depth, T* packed) {
    constexpr int kAhead = 4;  // rows
    T* to = packed + panel * Panel * depth;
    for (std::int64_t i = 0; i < b.extent[0]; ++i) {
        for (std::int64_t j = 0; j < b.extent[1]; ++j) {
            const T* from = static_cast<const T*>(b.data) + i * b.stride[0] + j * b.stride[1] + panel * Panel;
            for (std::int64_t h = 0; h < b.extent[2]; ++h, to += Panel, from += b.stride[2]) {
                for (int p = 0; p < Count; ++p) {
                    const T* row = from + p * Panel;
                    if (h + kAhead < b.extent[2]) {
                        for (int n = 0; n < Panel; n += 64 / static_cast<int>(sizeof(T))) {
                            __builtin_prefetch(row + kAhead * b.stride[2] + n);
                        }
                    }
                    for (int n = 0; n < Panel; n += kLanes<T>) store(to + p * Panel * depth + n, load(row + n));
                }
            }
        }
    }
    const std::int64_t k = b.extent[0] * b.extent[1] * b.extent[2];
    for (std::int64_t h = k; h < depth; ++h, to += Panel) {
        for (int p = 0; p < Count; ++p) {
            for (int n = 0; n < Panel; n += kLanes<T>) store(to + p * Panel * depth + n, Vec<T>{});
        }
    }
}

template <class T, int Panel, int Multiple>
void pack_b(const UnpackedB& b, std::int64_t first_panel, std::int64_t last_panel, void* packed) {
    const std::int64_t k = b.extent[0] * b.extent[1] * b.extent[2], depth = (k + Multiple - 1) / Multiple * Multiple;
    constexpr int kTogether = 4;
    std::int64_t panel = first_panel;
    if (b.n_stride != 1 && k > 0 && pack_turned<T, Panel>(b, first_panel, last_panel, depth, static_cast<T*>(packed))) {
        return;
    }
    if (b.n_stride == 1) {
        for (; panel + kTogether <= last_panel && (panel + kTogether) * Panel <= b.n; panel += kTogether) {
            pack_full_panels<T, Panel, kTogether>(b, panel, depth, static_cast<T*>(packed));
        }
    }
    for (; panel < last_panel; ++panel) {
        const std::int64_t n = panel * Panel, left = b.n - n;
        const std::int64_t columns = left < Panel ? left : Panel;
        const std::int64_t width = (columns + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
        T* to = static_cast<T*>(packed) + n * depth;
        for (std::int64_t i = 0; i < b.extent[0]; ++i) {
            for (std::int64_t j = 0; j < b.extent[1]; ++j) {
                const T* from = static_cast<const T*>(b.data) + i * b.stride[0] + j * b.stride[1] + n * b.n_stride;
                for (std::int64_t h = 0; h < b.extent[2]; ++h, to += width, from += b.stride[2]) {
                    pack_b_row(to, from, b.n_stride, columns, width);
                }
            }
        }
        for (std::int64_t h = k; h < depth; ++h, to += width) pack_b_row(to, to, 1, 0, width);
    }
}

}  // namespace
}  // namespace thew
