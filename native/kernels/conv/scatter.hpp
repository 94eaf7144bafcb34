// Sums of conv_grad_weight from scratch, (kh, kw, c) by o with o innermost, to where dw has them: square tiles are
// transposed in registers where memory holds (c, kh, kw) end to end, as ONNX and PyTorch lay out weights.
#pragma once

#include "kernels/conv/contract.hpp"
#include "kernels/matmul/pack_turned.hpp"

namespace thew {
namespace {

// Elements [r0, r0 + rows) of a run of dw, which are rows `k` of the sums, for all of one group's n channels.
template <class T>
void scatter_rows(const T* sums, std::int64_t n, const std::int64_t* k, int rows, T* to, std::int64_t n_stride) {
    constexpr int L = kLanes<T>;
    for (std::int64_t o = 0; o < n; o += L) {
        const int columns = static_cast<int>(n - o < L ? n - o : L);
        typename Tile<T>::V v[L];
        for (int i = 0; i < L; ++i) {
            const T* from = sums + k[i < rows ? i : 0] * n + o;
            v[i] = columns == L ? load(from) : load_partial(from, columns);
        }
        Tile<T>::turn(v);
        for (int j = 0; j < columns; ++j) {
            T* at = to + (o + j) * n_stride;
            if (rows == L) {
                store(at, v[j]);
            } else {
                store_partial(at, v[j], rows);
            }
        }
    }
}

// `to`: dw as the axes (kh, kw, c) and o.
template <class T>
void scatter_sums(const void* from, const UnpackedB& to, std::int64_t items, std::int64_t item_stride,
                  const Workers& workers) {
    constexpr int L = kLanes<T>;
    const TurnedWalk walk(to);
    const bool turns = walk.step == 1;
    const std::int64_t run = turns ? walk.run : 1, total = to.extent[0] * to.extent[1] * to.extent[2];
    const std::int64_t pieces = (run + L - 1) / L, outer = total / run;
    auto body = [&](std::int64_t task, int) {
        const std::int64_t piece = task % pieces, item = task / pieces / outer;
        const T* sums = static_cast<const T*>(from) + item * total * to.n;
        T* at = static_cast<T*>(const_cast<void*>(to.data)) + item * item_stride;
        std::int64_t rest = task / pieces % outer, k_first = 0;
        for (int i = turns ? walk.merged : 0; i < 3; ++i) {
            const std::int64_t place = rest % to.extent[walk.axis[i]];
            at += place * to.stride[walk.axis[i]];
            k_first += place * walk.k_step[walk.axis[i]];
            rest /= to.extent[walk.axis[i]];
        }
        const int rows = static_cast<int>(run - piece * L < L ? run - piece * L : L);
        std::int64_t k[L];
        for (int i = 0; i < rows; ++i) k[i] = k_first + (turns ? walk.row(to, piece * L + i) : 0);
        scatter_rows<T>(sums, to.n, k, rows, at + piece * L, to.n_stride);
    };
    parallel_for(workers, items * outer * pieces, body);
}

}  // namespace
}  // namespace thew
