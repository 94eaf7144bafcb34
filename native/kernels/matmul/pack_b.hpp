// Packs b into panels of `Panel` columns (the last as many as whole vectors need): panel by panel, within one k by k,
// the columns of a k side by side. Columns past n and rows past k are zero. Rows that lie side by side are read for
// several panels at a time: a panel's share of a row is two cache lines, and one line pair a page starves the
// prefetcher. Where a multiply-add takes groups of k, those of a column lie side by side.
#pragma once

#include "kernels/matmul/pack_turned.hpp"
#include "simd/half.hpp"

namespace thew {
namespace {

// The columns of one k, `Group` elements apart.
template <int Group, class T>
THEW_INLINE void pack_b_row(T* to, const T* from, std::int64_t n_stride, std::int64_t columns, std::int64_t width) {
    if (n_stride == 1) {
        for (std::int64_t n = 0; n < columns; ++n) to[n * Group] = from[n];
    } else {
        for (std::int64_t n = 0; n < columns; ++n) to[n * Group] = from[n * n_stride];
    }
    for (std::int64_t n = columns; n < width; ++n) to[n * Group] = T{};
}

// The same for pairs of k, of whole vectors of neighbouring columns: the even k of a pair comes first and fills both.
template <class T>
THEW_INLINE void pack_b_pairs(T* to, const T* from, std::int64_t columns, bool odd) {
    auto* words = reinterpret_cast<std::uint32_t*>(to);
    for (std::int64_t n = 0; n < columns; n += kLanes<std::uint32_t>) {
        HalfWords bits;
        __builtin_memcpy(&bits, from + n, sizeof bits);
        const Words word = __builtin_convertvector(bits, Words);
        store(words + n, odd ? load(words + n) | word << 16 : word);
    }
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

template <class Tiles>
void pack_b(const UnpackedB& b, std::int64_t first_panel, std::int64_t last_panel, void* packed) {
    using N = typename Tiles::Numbers;
    using T = typename N::B;
    constexpr int kPanel = Tiles::kPanel, kVector = N::kColumns, kGroup = N::kGroup, kTogether = 4;
    const std::int64_t k = b.extent[0] * b.extent[1] * b.extent[2];
    const std::int64_t depth = (k + Tiles::kDepthMultiple - 1) / Tiles::kDepthMultiple * Tiles::kDepthMultiple;
    std::int64_t panel = first_panel;
    if constexpr (std::is_same_v<T, typename N::Sum>) {
        if (b.n_stride != 1 && k > 0 &&
            pack_turned<T, kPanel>(b, first_panel, last_panel, depth, static_cast<T*>(packed))) {
            return;
        }
    }
    if constexpr (kGroup == 1) {
        for (; b.n_stride == 1 && panel + kTogether <= last_panel && (panel + kTogether) * kPanel <= b.n;
             panel += kTogether) {
            pack_full_panels<Raw<T>, kPanel, kTogether>(b, panel, depth, static_cast<Raw<T>*>(packed));
        }
    }
    for (; panel < last_panel; ++panel) {
        const std::int64_t n = panel * kPanel, left = b.n - n;
        const std::int64_t columns = left < kPanel ? left : kPanel, width = (columns + kVector - 1) / kVector * kVector;
        T* to = static_cast<T*>(packed) + n * depth;
        std::int64_t at = 0;  // of k
        auto place = [&] { return to + at / kGroup * kGroup * width + at % kGroup; };
        for (std::int64_t i = 0; i < b.extent[0]; ++i) {
            for (std::int64_t j = 0; j < b.extent[1]; ++j) {
                const T* from = static_cast<const T*>(b.data) + i * b.stride[0] + j * b.stride[1] + n * b.n_stride;
                for (std::int64_t h = 0; h < b.extent[2]; ++h, ++at, from += b.stride[2]) {
                    if constexpr (kGroup == 2) {
                        if (b.n_stride == 1 && columns == width) {
                            pack_b_pairs(to + at / 2 * 2 * width, from, columns, at % 2 == 1);
                            continue;
                        }
                    }
                    pack_b_row<kGroup>(place(), from, b.n_stride, columns, width);
                }
            }
        }
        for (; at < depth; ++at) pack_b_row<kGroup>(place(), to, 1, 0, width);
    }
}

}  // namespace
}  // namespace thew
