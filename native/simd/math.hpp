// Elementary functions over Vec<T>, fp32 and fp64, written once for every ISA. Every lane is computed the same way (no
// branches); NaN gives NaN, infinities and subnormals are exact cases of the formulas.
//
// Method: exp and log reduce to [-ln2/2, ln2/2] and [sqrt(1/2), sqrt(2)) (Cody and Waite, Software Manual for the
// Elementary Functions, 1980), then evaluate polynomials interpolated at Chebyshev nodes with 40 digits, chosen so that
// the truncation is below 0.1 ulp. Largest errors found, in units of the last place (tests/contract/test_unary.py holds
// them to these, rounded up to halves): exp 1.04, log 0.82, sigmoid 2.2, tanh 2.5, erf 1.2, softplus 1.9, expm1 2.2.
#pragma once

#include "simd/vec.hpp"

namespace thew {
namespace {

template <class T>
struct Float;  // the format, and the coefficients for its precision (highest power first)

template <>
struct Float<float> {
    using Bits = std::int32_t;
    using Unsigned = std::uint32_t;
    static constexpr int mantissa = 23;
    static constexpr Bits bias = 127, sqrt_half = 0x3f3504f3, sign = Bits(1) << 31;
    static constexpr float magic = 0x1.8p23f, smallest = 0x1p-126f, lift = 0x1p25f;  // lift makes subnormals normal
    static constexpr int lift_log2 = 25;
    static constexpr float log2e = 0x1.715476p+0f, ln2_high = 0x1.63p-1f, ln2_low = -0x1.bd0106p-13f;
    static constexpr float exp_low = -104.0f, exp_high = 89.0f, expm1_low = -18.0f;
    static constexpr float exp[] = {1.3926183587713494541e-3f, 8.3631790527225773697e-3f, 4.1666554617204574203e-2f,
                                    1.6666576989698775683e-1f, 0.5f};
    static constexpr float log[] = {0.23330581938241893809f, 0.28550816599711548666f, 0.4000012187697200149f,
                                    0.66666666554451646331f};
    static constexpr float erf_near[] = {
        7.8758750626854883411e-5f, -8.0168642871658695293e-4f, 5.1890874234339739861e-3f, -2.6854212010626412443e-2f,
        0.11283594715160217732f,   -0.37612626666720331023f,   0.12837916584835094603f};
    static constexpr float erf_far[] = {-8.379754387023134563e-4f,  6.8111401310856345634e-3f, 3.732371758939544441e-3f,
                                        -7.8968306127934728421e-2f, 0.24165820152556019554f,   -0.42718598976848669643f,
                                        0.25539567631050574387f};
    static constexpr float erf_one = 4.0f, erf_center = 2.0f;
};

template <>
struct Float<double> {
    using Bits = std::int64_t;
    using Unsigned = std::uint64_t;
    static constexpr int mantissa = 52;
    static constexpr Bits bias = 1023, sqrt_half = 0x3fe6a09e667f3bcd, sign = Bits(std::uint64_t(1) << 63);
    static constexpr double magic = 0x1.8p52, smallest = 0x1p-1022, lift = 0x1p54;
    static constexpr int lift_log2 = 54;
    static constexpr double log2e = 0x1.71547652b82fep+0, ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
    static constexpr double exp_low = -746.0, exp_high = 710.0, expm1_low = -38.0;
    static constexpr double exp[] = {2.5100385495510319077e-8, 2.762008844540974816e-7,  2.7557268459997064772e-6,
                                     2.4801521295954375131e-5, 1.9841269863053616878e-4, 1.3888888917213716901e-3,
                                     8.3333333333300618325e-3, 4.1666666666624127873e-2, 0.16666666666666667453,
                                     0.50000000000000010221};
    static constexpr double log[] = {0.14616585424888621974, 0.15331710618210771569, 0.18182889455674946038,
                                     0.22222211130259877029, 0.28571428626003268742, 0.39999999999899443233,
                                     0.66666666666666696883};
    static constexpr double erf_near[] = {
        -7.7958988270021422416e-10, 1.3720064546777685604e-8, -1.6208483801871705902e-7, 1.644742470331736241e-6,
        -1.4924736907419660338e-5,  1.2055294904839707917e-4, -8.5483259753896920806e-4, 5.2239776071164227321e-3,
        -2.686617064323777036e-2,   0.11283791670945006266,   -0.37612638903183540438,   0.12837916709551256654};
    static constexpr double erf_far[] = {
        -1.5876338931273440237e-6, -2.2328516517555214358e-6, 7.4997350507632986703e-6, 1.8596747731144528634e-5,
        -3.4175718896856292589e-5, -1.2887483134837841838e-4, 2.2837996332576430022e-4, 8.7591528757743274652e-4,
        -2.6423659518134548579e-3, -3.9937011601230292147e-3, 3.9922539075465231919e-2, -0.12503305237891781154,
        0.25171319321744876591,    -0.37173673394897296033,   0.21080636406114358393};
    static constexpr double erf_one = 6.0, erf_center = 2.5;
};

template <class T>
using BitsOf = Vec<typename Float<T>::Bits>;
template <class T>
using UnsignedOf = Vec<typename Float<T>::Unsigned>;  // where sums may wrap (lanes of NaN and negative numbers)

template <class T, int N>
THEW_INLINE Vec<T> horner(Vec<T> x, const T (&coefficients)[N]) {
    Vec<T> sum = splat(coefficients[0]);
#pragma GCC unroll 16
    for (int i = 1; i < N; ++i) sum = sum * x + coefficients[i];
    return sum;
}

template <class T>
THEW_INLINE Vec<T> absolute(Vec<T> x) {
    return (Vec<T>)((BitsOf<T>)x & ~Float<T>::sign);
}
template <class T>
THEW_INLINE Vec<T> with_sign_of(Vec<T> magnitude, Vec<T> sign) {
    return (Vec<T>)(((BitsOf<T>)magnitude & ~Float<T>::sign) | ((BitsOf<T>)sign & Float<T>::sign));
}
template <class T>
THEW_INLINE Vec<T> square_root(Vec<T> x) {
    return Whole<T>::square_root(x);
}

// An arithmetic shift right for values above -2^(bits - 2): 64-bit arithmetic shifts are missing below AVX-512.
template <class T>
THEW_INLINE BitsOf<T> shift_right(BitsOf<T> x, int by) {
    using F = Float<T>;
    constexpr typename F::Bits offset = typename F::Bits(1) << (8 * sizeof(T) - 2);
    return (BitsOf<T>)(((UnsignedOf<T>)x + typename F::Unsigned(offset)) >> by) - (offset >> by);
}

template <class T>
THEW_INLINE Vec<T> power_of_two(BitsOf<T> n) {  // n within the normal exponents
    using F = Float<T>;
    return (Vec<T>)(((UnsignedOf<T>)n + typename F::Unsigned(F::bias)) << F::mantissa);
}

// x = n ln2 + r, |r| <= ln2/2. n ln2_high is exact: ln2_high has enough trailing zeros.
template <class T>
struct Reduced {
    BitsOf<T> n;
    Vec<T> r;
};
template <class T>
THEW_INLINE Reduced<T> reduce(Vec<T> x) {
    using F = Float<T>;
    Vec<T> shifted = x * F::log2e + F::magic;
    Vec<T> n = shifted - F::magic;
    Vec<T> r = x - n * F::ln2_high;
    // Unsigned, since the bits of a NaN are any number; its r is a NaN whatever n.
    UnsignedOf<T> bits = (UnsignedOf<T>)shifted;
    bits -= (UnsignedOf<T>)splat(F::magic);
    return {(BitsOf<T>)bits, r - n * F::ln2_low};
}

template <class T>
THEW_INLINE Vec<T> exp(Vec<T> x) {
    using F = Float<T>;
    Vec<T> bounded = x < F::exp_low ? splat(F::exp_low) : x;
    bounded = bounded > F::exp_high ? splat(F::exp_high) : bounded;
    auto [n, r] = reduce<T>(bounded);
    Vec<T> p = (r * r) * horner<T>(r, F::exp) + r + T(1);
    BitsOf<T> half = shift_right<T>(n, 1);  // in two factors: 2^n alone may be subnormal or beyond the range
    UnsignedOf<T> rest = (UnsignedOf<T>)n - (UnsignedOf<T>)half;
    return p * power_of_two<T>(half) * power_of_two<T>((BitsOf<T>)rest);
}

// exp(x) - 1 for x at most about 80; without cancellation, since expm1(x) = 2^n expm1(r) + (2^n - 1).
template <class T>
THEW_INLINE Vec<T> expm1(Vec<T> x) {
    using F = Float<T>;
    auto [n, r] = reduce<T>(x < F::expm1_low ? splat(F::expm1_low) : x);
    Vec<T> p = (r * r) * horner<T>(r, F::exp) + r;
    Vec<T> scale = power_of_two<T>(n);
    return scale * p + (scale - T(1));
}

// log(x): x = 2^e (1 + f); log(1 + f) = f - (f²/2 - s (f²/2 + R(s²))), s = f / (2 + f).
template <class T>
THEW_INLINE Vec<T> log(Vec<T> x) {
    using F = Float<T>;
    auto subnormal = x < F::smallest;
    UnsignedOf<T> bits = (UnsignedOf<T>)(subnormal ? x * F::lift : x);
    BitsOf<T> e = shift_right<T>((BitsOf<T>)(bits - typename F::Unsigned(F::sqrt_half)), F::mantissa);
    Vec<T> f = (Vec<T>)(bits - ((UnsignedOf<T>)e << F::mantissa)) - T(1);
    e -= subnormal & F::lift_log2;
    Vec<T> exponent = (Vec<T>)(e + (BitsOf<T>)splat(F::magic)) - F::magic;
    Vec<T> s = f / (f + T(2));
    Vec<T> z = s * s;
    Vec<T> half = T(0.5) * f * f;
    Vec<T> tail = s * (half + z * horner<T>(z, F::log)) + exponent * F::ln2_low;
    Vec<T> result = exponent * F::ln2_high - ((half - tail) - f);
    const T infinity = T(__builtin_inf());
    result = x == infinity ? x : result;
    result = x == T(0) ? splat(-infinity) : result;
    return x >= T(0) ? result : splat(T(__builtin_nan("")));
}

// log(1 + x) for x >= 0: the rounding error of 1 + x is added back (Kahan).
template <class T>
THEW_INLINE Vec<T> log1p_positive(Vec<T> x) {
    Vec<T> y = x + T(1);
    Vec<T> lost = (x - (y - T(1))) / y;
    return log<T>(y) + (y < T(8) ? lost : Vec<T>{});
}

template <class T>
THEW_INLINE Vec<T> tanh(Vec<T> x) {
    Vec<T> t = expm1<T>(absolute<T>(x) * T(-2));
    return with_sign_of<T>(t / (t + T(2)), x);
}

template <class T>
THEW_INLINE Vec<T> sigmoid(Vec<T> x) {
    Vec<T> small = exp<T>(-absolute<T>(x));
    return (x < T(0) ? small : splat(T(1))) / (T(1) + small);
}

template <class T>
THEW_INLINE Vec<T> softplus(Vec<T> x) {
    Vec<T> positive = x < T(0) ? Vec<T>{} : x;
    return positive + log1p_positive<T>(exp<T>(-absolute<T>(x)));
}

// |x| < 1: x + x P(x²). Beyond: 1 - exp(-x²) Q(u), u = (|x| - k) / (|x| + k), which tames the scaled complement.
template <class T>
THEW_INLINE Vec<T> erf(Vec<T> x) {
    using F = Float<T>;
    Vec<T> a = absolute<T>(x);
    Vec<T> z = x * x;
    Vec<T> near = a * horner<T>(z, F::erf_near) + a;
    Vec<T> bounded = a > F::erf_one ? splat(F::erf_one) : a;
    Vec<T> u = (bounded - F::erf_center) / (bounded + F::erf_center);
    Vec<T> far = T(1) - exp<T>(-bounded * bounded) * horner<T>(u, F::erf_far);
    return with_sign_of<T>(a < T(1) ? near : far, x);
}

}  // namespace
}  // namespace thew
