// Packs b into panels of `Panel` columns (the last as many as whole vectors need): panel by panel, within one k by k,
// the columns of a k side by side. Columns past n and rows past k are zero.
#pragma once

#include "kernels/matmul/contract.hpp"
#include "simd/vec.hpp"

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

template <class T, int Panel, int Multiple>
void pack_b(const UnpackedB& b, std::int64_t first_panel, std::int64_t last_panel, void* packed) {
    const std::int64_t k = b.extent[0] * b.extent[1] * b.extent[2], depth = (k + Multiple - 1) / Multiple * Multiple;
    for (std::int64_t panel = first_panel; panel < last_panel; ++panel) {
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
