// The transform of weights, G w Gᵀ, in fp64 and rounded once, into packed panels of columns: done once by make(), or by
// each run.
#pragma once

#include "kernels/winograd/contract.hpp"
#include "kernels/winograd/matrices.hpp"
#include "simd/half.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

// One panel of one group: packed[point][depth][columns of the panel], zeros past c and oc.
template <class Memory, class Tiles, int M, int R>
void pack_winograd(const WinogradWeights& weights, std::int64_t panel, std::int64_t depth, void* packed) {
    using T = Wide<Memory>;
    constexpr int A = M + R - 1, kPanel = Tiles::kPanel;
    constexpr WeightMatrix<M, R> kMatrix;
    const std::int64_t left = weights.oc - panel * kPanel, columns = left < kPanel ? left : kPanel;
    const std::int64_t width = (columns + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
    double w[R][R][kPanel] = {}, half[A][R][kPanel];
    for (std::int64_t c = 0; c < depth; ++c) {
        const Memory* from =
            static_cast<const Memory*>(weights.data) + panel * kPanel * weights.stride[0] + c * weights.stride[1];
        for (int i = 0; i < R; ++i) {
            for (int j = 0; j < R; ++j) {
                const Memory* tap = from + i * weights.stride[2] + j * weights.stride[3];
                for (std::int64_t o = 0; o < columns; ++o) {
                    w[i][j][o] = c < weights.c ? static_cast<double>(wide_of(tap[o * weights.stride[0]])) : 0;
                }
            }
        }
        for (int t = 0; t < A; ++t) {
            for (int j = 0; j < R; ++j) {
                for (int o = 0; o < kPanel; ++o) {
                    double sum = 0;
                    for (int i = 0; i < R; ++i) sum += kMatrix.g[t][i] * w[i][j][o];
                    half[t][j][o] = sum;
                }
            }
        }
        for (int point = 0; point < A * A; ++point) {
            T* to = static_cast<T*>(packed) + (point * depth + c) * width;
            for (std::int64_t o = 0; o < width; ++o) {
                double sum = 0;
                for (int j = 0; j < R; ++j) sum += kMatrix.g[point % A][j] * half[point / A][j][o];
                to[o] = static_cast<T>(sum / (kLineScale<T, A> * kLineScale<T, A>));
            }
        }
    }
}

}  // namespace
}  // namespace thew
