// The matrices of F(m, r) from points of interpolation 0, ±p, ±q, … and ∞ (Toom–Cook; Winograd 1980), as compile-time
// numbers. Symmetric points make every transform a sum of even and a sum of odd terms that both signs share.
//
//   Q_p(x) = Π_{q ≠ p} (x² − q²),  Q(x) = Π (x² − q²), over the pairs
//   Bᵀ: row 0: Q;  rows ±p: x·(x ± p)·Q_p;  row ∞: x·Q            (coefficients of 1, x, x², …)
//   G:  row t: t^k / Π_{s ≠ t} (t − s) over finite points s;  row ∞: the last unit vector
//   Aᵀ: column t: t^i;  column ∞: the last unit vector
//
// The points decide the accuracy (Barabasz, Anderson, Soodhalter and Gregg, "Error analysis and improving the accuracy
// of Winograd convolution for deep neural networks", 2020). Measured with 64 channels of rectified normal numbers in
// fp32, root mean square against a sum tap by tap: a = 4 with ±1: 0.7 times; a = 6 with ±3/4, ±3/2: 2.2 times (±1, ±2
// as Lavin and Gray have it: 4.4 times; ±√2, ±1/√2: 2.2, but not exact in binary; 1, −1, 1/2, −2: 3.0); a = 8 with ±1,
// ±2, ±1/2: 10 times.
#pragma once

namespace thew {
namespace {

template <int A>
struct WinogradPoints;
template <>
struct WinogradPoints<4> {
    static constexpr double kPairs[] = {1};
};
template <>
struct WinogradPoints<6> {
    static constexpr double kPairs[] = {0.75, 1.5};
};
template <>
struct WinogradPoints<8> {
    static constexpr double kPairs[] = {1, 2, 0.5};
};

// What Bᵀ is multiplied by at each line of a transform of inputs, and weights divided by, so that both are exact. In
// fp16 a line of a = 6 would grow its inputs up to 5.7 times, and two of them leave its range from 2,047 on.
template <class T, int A>
inline constexpr double kLineScale = sizeof(T) == 2 && A == 6 ? 0.25 : 1;

constexpr double power(double base, int exponent) { return exponent == 0 ? 1 : base * power(base, exponent - 1); }

// Coefficients of Π (x² − q²) over all pairs but `without` (−1: all): of x⁰, x², x⁴, …; the last is 1.
template <int A>
struct EvenPolynomial {
    double of[A / 2] = {1};
    int degree = 0;  // in x²

    constexpr explicit EvenPolynomial(int without) {
        for (int pair = 0; pair < (A - 2) / 2; ++pair) {
            if (pair == without) continue;
            const double q = WinogradPoints<A>::kPairs[pair], square = q * q;
            degree += 1;
            for (int k = degree; k > 0; --k) of[k] = of[k - 1] - square * (k < degree ? of[k] : 0);
            of[0] *= -square;
        }
    }
};

template <int A>
constexpr double winograd_point(int t) {  // finite points in the order of rows: 0, p, −p, q, −q, …
    return t == 0 ? 0 : (t % 2 == 1 ? 1 : -1) * WinogradPoints<A>::kPairs[(t - 1) / 2];
}

template <int M, int R>
struct WeightMatrix {
    static constexpr int A = M + R - 1;
    double g[A][R] = {};

    constexpr WeightMatrix() {
        for (int t = 0; t < A - 1; ++t) {
            double scale = 1;
            for (int s = 0; s < A - 1; ++s) {
                if (s != t) scale *= winograd_point<A>(t) - winograd_point<A>(s);
            }
            for (int k = 0; k < R; ++k) g[t][k] = power(winograd_point<A>(t), k) / scale;
        }
        g[A - 1][R - 1] = 1;
    }
};

}  // namespace
}  // namespace thew
