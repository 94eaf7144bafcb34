// Packs b where its columns are apart and k runs along neighbours in memory, forwards or backwards: square tiles are
// transposed in registers. The axes of k that memory holds end to end are walked as one run; where an element of the
// run belongs among the packed rows is worked out once for all columns.
#pragma once

#include <utility>

#include "kernels/matmul/contract.hpp"
#include "simd/transpose.hpp"

namespace thew {
namespace {

inline constexpr std::int64_t kLeastRun = 4;  // a tile is not worth filling for less

// b's axes of k, nearest in memory first, and the first `merged` of them as one run.
struct TurnedWalk {
    int axis[3] = {2, 1, 0}, merged = 1;
    std::int64_t step, run, k_step[3];

    explicit TurnedWalk(const UnpackedB& b) : k_step{b.extent[1] * b.extent[2], b.extent[2], 1} {
        auto distance = [&](int d) {
            const std::int64_t stride = b.stride[d];
            return b.extent[d] == 1 ? INT64_MAX : stride < 0 ? -stride : stride;
        };
        for (int i = 1; i < 3; ++i) {
            for (int j = i; j > 0 && distance(axis[j]) < distance(axis[j - 1]); --j) std::swap(axis[j], axis[j - 1]);
        }
        step = b.stride[axis[0]];
        run = b.extent[axis[0]];
        while (merged < 3 && b.stride[axis[merged]] == step * run) run *= b.extent[axis[merged++]];
    }
    bool fits() const { return (step == 1 || step == -1) && run >= kLeastRun; }
    // The packed row of element `r` of the run.
    std::int64_t row(const UnpackedB& b, std::int64_t r) const {
        std::int64_t k = 0;
        for (int i = 0; i < merged; ++i) {
            k += r % b.extent[axis[i]] * k_step[axis[i]];
            r /= b.extent[axis[i]];
        }
        return k;
    }
};

// Rows [r0, r0 + rows) of a run at `from`, whose packed rows are `k`, for all columns of the panels.
template <class T, int Panel>
void pack_turned_rows(const UnpackedB& b, std::int64_t first, std::int64_t last, std::int64_t depth, const T* from,
                      bool backwards, int rows, const std::int64_t* k, T* packed) {
    constexpr int L = kLanes<T>;
    for (std::int64_t n = first; n < last; n += L) {
        typename Tile<T>::V v[L];
        const std::int64_t columns = last - n < L ? last - n : L;
        for (int j = 0; j < L; ++j) {
            const T* column = from + (n + j) * b.n_stride;
            v[j] = j >= columns ? Vec<T>{} : rows == L ? load(column) : load_partial(column, rows);
        }
        Tile<T>::turn(v);
        const std::int64_t panel = n / Panel * Panel, left = b.n - panel;
        const std::int64_t width = left < Panel ? (left + L - 1) / L * L : Panel;
        T* to = packed + panel * depth + (n - panel);
        for (int i = 0; i < rows; ++i) store(to + k[backwards ? rows - 1 - i : i] * width, v[i]);
    }
}

// As pack_b; false where b does not lie so.
template <class T, int Panel>
bool pack_turned(const UnpackedB& b, std::int64_t first_panel, std::int64_t last_panel, std::int64_t depth, T* packed) {
    constexpr int L = kLanes<T>;
    const TurnedWalk walk(b);
    if (!walk.fits() || b.n < kLeastRun) return false;
    const std::int64_t first = first_panel * Panel, last = last_panel * Panel < b.n ? last_panel * Panel : b.n;
    const bool backwards = walk.step < 0;
    const std::int64_t total = b.extent[0] * b.extent[1] * b.extent[2];
    for (std::int64_t outer = 0; outer < total / walk.run; ++outer) {
        const T* from = static_cast<const T*>(b.data);
        std::int64_t rest = outer, k_first = 0;
        for (int i = walk.merged; i < 3; ++i) {
            const std::int64_t at = rest % b.extent[walk.axis[i]];
            from += at * b.stride[walk.axis[i]];
            k_first += at * walk.k_step[walk.axis[i]];
            rest /= b.extent[walk.axis[i]];
        }
        for (std::int64_t r = 0; r < walk.run; r += L) {
            const int rows = static_cast<int>(walk.run - r < L ? walk.run - r : L);
            std::int64_t k[L];
            for (int i = 0; i < rows; ++i) k[i] = k_first + walk.row(b, r + i);
            const T* at = backwards ? from - (r + rows - 1) : from + r;
            pack_turned_rows<T, Panel>(b, first, last, depth, at, backwards, rows, k, packed);
        }
    }
    for (std::int64_t panel = first_panel; panel < last_panel; ++panel) {
        const std::int64_t left = b.n - panel * Panel, width = left < Panel ? (left + L - 1) / L * L : Panel;
        T* to = packed + panel * Panel * depth;
        for (std::int64_t i = total * width; i < depth * width; i += L) store(to + i, Vec<T>{});
    }
    return true;
}

}  // namespace
}  // namespace thew
