// The transforms of the gradient of weights, the transposes of those of outputs and weights (matrices.hpp): of a tile
// of dy, A dy Aᵀ, and of sums over tiles, Gᵀ z G. Rows p and −p of either share
//   even = Σ p²ᵏ·d[2k],  odd = Σ p²ᵏ⁺¹·d[2k + 1];   of z: z[p] ± z[−p] by a column's parity.
#pragma once

#include "kernels/winograd/transform.hpp"

namespace thew {
namespace {

// G's coefficient of point t and tap k.
template <int M, int R, int t, int k>
struct WeightCoefficient {
    static constexpr double value = WeightMatrix<M, R>{}.g[t][k];
};

// out = A d.
template <class T, int A, int M>
THEW_INLINE void transform_gradient_line(const Vec<T> (&d)[M], Vec<T> (&out)[A]) {
    out[0] = d[0];
    unroll<(A - 2) / 2>([&](auto pair) THEW_FLAT {
        Vec<T> even = d[0], odd = scaled<T, PointPower<A, pair, 1>>(d[1]);
        unroll<M - 2>([&](auto n) THEW_FLAT {
            constexpr int i = n + 2;
            Vec<T>& sum = i % 2 == 0 ? even : odd;
            sum = add_scaled<T, PointPower<A, pair, i>>(sum, d[i]);
        });
        out[2 * pair + 1] = even + odd;
        out[2 * pair + 2] = even - odd;
    });
    out[A - 1] = d[M - 1];
}

// out = Gᵀ z.
template <class T, int M, int R, int A = M + R - 1>
THEW_INLINE void transform_sums_line(const Vec<T> (&z)[A], Vec<T> (&out)[R]) {
    constexpr int kPairs = (A - 2) / 2;
    Vec<T> of_sign[2][kPairs];
    unroll<kPairs>([&](auto p) THEW_FLAT {
        of_sign[0][p] = z[2 * p + 1] + z[2 * p + 2];
        of_sign[1][p] = z[2 * p + 1] - z[2 * p + 2];
    });
    unroll<R>([&](auto k) THEW_FLAT {
        const auto& terms = of_sign[k % 2];
        Vec<T> sum = scaled<T, WeightCoefficient<M, R, 1, k>>(terms[0]);
        unroll<kPairs - 1>(
            [&](auto p) THEW_FLAT { sum = add_scaled<T, WeightCoefficient<M, R, 2 * p + 3, k>>(sum, terms[p + 1]); });
        if constexpr (k == 0) sum = add_scaled<T, WeightCoefficient<M, R, 0, 0>>(sum, z[0]);
        if constexpr (k == R - 1) sum += z[A - 1];
        out[k] = sum;
    });
}

// to[point] = A dy Aᵀ for one vector of channels; points are `point` elements apart.
template <class Memory, int M, int R>
THEW_INLINE void transform_gradient(const Memory* dy, std::int64_t row, std::int64_t column, Wide<Memory>* to,
                                    std::int64_t point) {
    using T = Wide<Memory>;
    constexpr int A = M + R - 1;
    Vec<T> half[A][M];
    unroll<M>([&](auto j) THEW_FLAT {
        Vec<T> d[M], out[A];
        unroll<M>([&](auto i) THEW_FLAT { d[i] = load_widened(dy + i * row + j * column); });
        transform_gradient_line<T, A, M>(d, out);
        unroll<A>([&](auto i) THEW_FLAT { half[i][j] = out[i]; });
    });
    unroll<A>([&](auto i) THEW_FLAT {
        Vec<T> out[A];
        transform_gradient_line<T, A, M>(half[i], out);
        unroll<A>([&](auto j) THEW_FLAT {
            store(to, out[j]);
            to += point;
            THEW_PIN_POINTER(to);
        });
    });
}

// taps[tap] = Gᵀ z G for one vector of channels; points are kPoint elements apart in z.
template <class T, int M, int R, int kPoint>
THEW_INLINE void transform_sums(const T* z, Vec<T> (&taps)[R * R]) {
    constexpr int A = M + R - 1;
    Vec<T> half[R][A];
    unroll<A>([&](auto j) THEW_FLAT {
        Vec<T> column[A], out[R];
        unroll<A>([&](auto i) THEW_FLAT { column[i] = load(z + (i * A + j) * kPoint); });
        transform_sums_line<T, M, R>(column, out);
        unroll<R>([&](auto i) THEW_FLAT { half[i][j] = out[i]; });
    });
    unroll<R>([&](auto i) THEW_FLAT {
        Vec<T> out[R];
        transform_sums_line<T, M, R>(half[i], out);
        unroll<R>([&](auto j) THEW_FLAT { taps[i * R + j] = out[j]; });
    });
}

}  // namespace
}  // namespace thew
