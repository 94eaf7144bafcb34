// The transforms of one tile, vectors over channels: lines of a tile in registers, every coefficient a compile-time
// number. Of a line of the inputs' transform (matrices.hpp), rows p and −p share
//   even = Σ Q_p[k]·d[2k + 2],  odd = Σ Q_p[k]·d[2k + 1],   out = even ± p·odd.
#pragma once

#include "kernels/winograd/contract.hpp"
#include "kernels/winograd/matrices.hpp"
#include "simd/activation.hpp"
#include "simd/half.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

// Coefficients as types: a power of a pair's point; k of the even polynomial without a pair, times another's point.
template <int A, int kPair, int kExponent>
struct PointPower {
    static constexpr double value = kPair < 0 ? 1 : power(WinogradPoints<A>::kPairs[kPair], kExponent);
};
template <class T, int A, int kWithout, int kTimes, int k>
struct EvenCoefficient {
    static constexpr double value =
        EvenPolynomial<A>(kWithout).of[k] * PointPower<A, kTimes, 1>::value * kLineScale<T, A>;
};

// Factor·x and sum + Factor·x; 1 and −1 cost no multiplication.
template <class T, class Factor>
THEW_INLINE Vec<T> scaled(Vec<T> x) {
    if constexpr (Factor::value == 1) return x;
    return x * static_cast<T>(Factor::value);
}
template <class T, class Factor>
THEW_INLINE Vec<T> add_scaled(Vec<T> sum, Vec<T> x) {
    if constexpr (Factor::value == 1) return sum + x;
    if constexpr (Factor::value == -1) return sum - x;
    return sum + x * static_cast<T>(Factor::value);
}

// Σ_k Q[k]·d[first + 2k] for the even polynomial without pair kWithout (−1: with all), times the point of pair kTimes
// (−1: 1). Times a point at the start, not where it is added to `even`: a multiplication needs no copy of an operand.
template <class T, int A, int kFirst, int kWithout = -1, int kTimes = -1>
THEW_INLINE Vec<T> even_sum(const Vec<T> (&d)[A]) {
    constexpr int kDegree = EvenPolynomial<A>(kWithout).degree;
    Vec<T> sum = scaled<T, EvenCoefficient<T, A, kWithout, kTimes, kDegree>>(d[kFirst + 2 * kDegree]);
    unroll<kDegree>([&](auto i) THEW_FLAT {
        constexpr int k = kDegree - 1 - i;
        sum = add_scaled<T, EvenCoefficient<T, A, kWithout, kTimes, k>>(sum, d[kFirst + 2 * k]);
    });
    return sum;
}

// out = Bᵀ d, times the scale of a line.
template <class T, int A>
THEW_INLINE void transform_input_line(const Vec<T> (&d)[A], Vec<T> (&out)[A]) {
    out[0] = even_sum<T, A, 0>(d);
    unroll<(A - 2) / 2>([&](auto pair) THEW_FLAT {
        const Vec<T> even = even_sum<T, A, 2, pair>(d), odd = even_sum<T, A, 1, pair, pair>(d);
        out[2 * pair + 1] = even + odd;
        out[2 * pair + 2] = even - odd;
    });
    out[A - 1] = even_sum<T, A, 1>(d);
}

// out = Aᵀ z.
template <class T, int A, int M>
THEW_INLINE void transform_output_line(const Vec<T> (&z)[A], Vec<T> (&out)[M]) {
    constexpr int kPairs = (A - 2) / 2;
    Vec<T> of_sign[2][kPairs];  // what even and odd powers of a pair's point multiply
    unroll<kPairs>([&](auto p) THEW_FLAT {
        of_sign[0][p] = z[2 * p + 1] + z[2 * p + 2];
        of_sign[1][p] = z[2 * p + 1] - z[2 * p + 2];
    });
    unroll<M>([&](auto i) THEW_FLAT {
        constexpr bool kOuter = i == 0 || i == M - 1;  // where the points 0 and ∞ count
        const auto& terms = of_sign[i % 2];
        Vec<T> sum = kOuter ? add_scaled<T, PointPower<A, 0, i>>(z[i == 0 ? 0 : A - 1], terms[0])
                            : scaled<T, PointPower<A, 0, i>>(terms[0]);
        unroll<kPairs - 1>([&](auto p) THEW_FLAT { sum = add_scaled<T, PointPower<A, p + 1, i>>(sum, terms[p + 1]); });
        out[i] = sum;
    });
}

// Rows and columns of a tile as addresses that cost one addition each: gcc would keep a pointer to every element.
template <class T, int kRows, int kColumns>
struct TileAddress {
    using Byte = std::conditional_t<std::is_const_v<T>, const char, char>;
    Byte* rows[kRows];
    std::int64_t columns[kColumns];  // in bytes, which need no scaling

    THEW_INLINE TileAddress(T* first, std::int64_t row, std::int64_t column) {
        unroll<kRows>([&](auto i) THEW_FLAT { rows[i] = reinterpret_cast<Byte*>(first + i * row); });
        unroll<kColumns>([&](auto j) THEW_FLAT { columns[j] = j * column * static_cast<std::int64_t>(sizeof(T)); });
    }
    THEW_INLINE void pin() {
        unroll<kRows>([&](auto i) THEW_FLAT { THEW_PIN_POINTER(rows[i]); });
        unroll<kColumns - 1>([&](auto j) THEW_FLAT { THEW_PIN_POINTER(columns[j + 1]); });
    }
    THEW_INLINE void advance(std::int64_t count) {
        unroll<kRows>([&](auto i) THEW_FLAT { rows[i] += count * static_cast<std::int64_t>(sizeof(T)); });
    }
    THEW_INLINE T* at(int i, int j) const { return reinterpret_cast<T*>(rows[i] + columns[j]); }
};

// v[point] = Bᵀ x B for `count` (a multiple of kLanes) channels. Points are `point` elements apart and vectors of
// channels side by side; or, for kDense, the points of a vector of channels are side by side.
template <class Memory, int A, bool kDense>
__attribute__((noinline)) void transform_input(const Memory* x, std::int64_t row, std::int64_t column,
                                               std::int64_t count, Wide<Memory>* v, std::int64_t point) {
    using T = Wide<Memory>;
    TileAddress<const Memory, A, A> from(x, row, column);
    for (; count > 0; count -= kLanes<T>) {
        Vec<T> half[A][A];
        from.pin();
        unroll<A>([&](auto j) THEW_FLAT {
            Vec<T> d[A], out[A];
            unroll<A>([&](auto i) THEW_FLAT { d[i] = load_widened(from.at(i, j)); });
            transform_input_line<T, A>(d, out);
            unroll<A>([&](auto i) THEW_FLAT { half[i][j] = out[i]; });
        });
        from.advance(kLanes<T>);
        T* to = v;
        unroll<A>([&](auto i) THEW_FLAT {
            Vec<T> out[A];
            transform_input_line<T, A>(half[i], out);
            unroll<A>([&](auto j) THEW_FLAT {
                if constexpr (kDense) {
                    store(v + (i * A + j) * kLanes<T>, out[j]);
                } else {
                    store(to, out[j]);
                    to += point;
                    THEW_PIN_POINTER(to);
                }
            });
        });
        v += kDense ? A * A * kLanes<T> : kLanes<T>;
    }
}

// Where a tile of outputs goes; strides in elements.
template <class Memory>
struct OutputTile {
    using T = Wide<Memory>;
    Memory* y;
    const Memory* residual;  // null where absent
    const T* bias;
    std::int64_t y_h, y_w, r_h, r_w;
    Activation activation;
    T low, high;  // of relu and clip
};

// y = Aᵀ z A + bias + residual, clipped, for `count` (a multiple of kLanes) channels; points are kPoint apart in z.
template <class Memory, int M, int R, int kPoint>
__attribute__((noinline)) void transform_output(const Wide<Memory>* z, const OutputTile<Memory>& to,
                                                std::int64_t count) {
    using T = Wide<Memory>;
    constexpr int A = M + R - 1;
    const Activation activation = to.activation;
    const bool raise = activation == Activation::relu || activation == Activation::clip;
    // By far the most: one branch a row. x86 would have every line twice.
    const bool only_raise = kLaneMultiply && activation == Activation::relu && !to.residual;
    const std::int64_t r_h = to.r_h, r_w = to.r_w;
    const T* bias = to.bias;
    const Memory* residual = to.residual;
    const Vec<T> low = splat(to.low), high = splat(to.high);
    TileAddress<Memory, M, M> y(to.y, to.y_h, to.y_w);
    for (; count > 0; count -= kLanes<T>, z += kLanes<T>, bias += kLanes<T>) {
        Vec<T> half[M][A];
        unroll<A>([&](auto j) THEW_FLAT {
            Vec<T> column[A], out[M];
            unroll<A>([&](auto i) THEW_FLAT { column[i] = load(z + (i * A + j) * kPoint); });
            transform_output_line<T, A, M>(column, out);
            unroll<M>([&](auto i) THEW_FLAT { half[i][j] = out[i]; });
        });
        const Vec<T> start = load(bias);
        y.pin();
        unroll<M>([&](auto i) THEW_FLAT {
            Vec<T> out[M];
            transform_output_line<T, A, M>(half[i], out);
            unroll<M>([&](auto j) THEW_FLAT { out[j] += start; });
            if (only_raise) {
                unroll<M>([&](auto j) THEW_FLAT { out[j] = raise_to<T>(out[j], low); });
            } else {
                if (residual) {
                    const Memory* from = residual + i * r_h;
                    unroll<M>([&](auto j) THEW_FLAT {
                        out[j] += load_widened(from);
                        from += r_w;
                        THEW_PIN_POINTER(from);
                    });
                }
                if (raise) {
                    unroll<M>([&](auto j) THEW_FLAT { out[j] = raise_to<T>(out[j], low); });
                }
                if (activation == Activation::clip) {
                    unroll<M>([&](auto j) THEW_FLAT { out[j] = lower_to<T>(out[j], high); });
                }
            }
            unroll<M>([&](auto j) THEW_FLAT { store_narrowed(y.at(i, j), out[j]); });
        });
        y.advance(kLanes<T>);
        if (residual) residual += kLanes<T>;
    }
}

}  // namespace
}  // namespace thew
