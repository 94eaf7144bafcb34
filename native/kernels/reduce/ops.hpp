// The reductions as policies: start (the neutral element), take (one vector of x into the accumulators), join (two
// accumulators, vectors or scalars) and finish (of the joined result over `count` elements). `shift` is what
// log_sum_exp subtracts; the others ignore it.
#pragma once

#include <type_traits>

#include "kernels/reduce/contract.hpp"
#include "simd/half.hpp"
#include "simd/math.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

template <class T>
inline constexpr bool kIsReal = static_cast<T>(0.5) != T{0};

template <class T>
constexpr T lowest() {
    if constexpr (kIsReal<T>) {
        return -static_cast<T>(__builtin_inf());
    } else {
        return static_cast<T>(static_cast<T>(-1) < T{0} ? std::int64_t{-1} << (sizeof(T) * 8 - 1) : 0);
    }
}
template <class T>
constexpr T highest() {
    if constexpr (kIsReal<T>) {
        return static_cast<T>(__builtin_inf());
    } else {
        return static_cast<T>(~lowest<T>());
    }
}

// Integers wrap, as NumPy's do: they are added and multiplied as unsigned, where overflow is defined.
template <class T>
struct Wrapping {
    using type = T;
};
template <>
struct Wrapping<std::int32_t> {
    using type = std::uint32_t;
};
template <>
struct Wrapping<std::int64_t> {
    using type = std::uint64_t;
};
template <class T, class V>
using WrappingOf =
    std::conditional_t<sizeof(V) == sizeof(T), typename Wrapping<T>::type, Vec<typename Wrapping<T>::type>>;

template <class T, class V>
THEW_INLINE V plus(V a, V b) {
    using U = WrappingOf<T, V>;
    return (V)((U)a + (U)b);
}
template <class T, class V>
THEW_INLINE V times(V a, V b) {
    using U = WrappingOf<T, V>;
    return (V)((U)a * (U)b);
}
template <class T>
THEW_INLINE Vec<T> magnitude(Vec<T> x) {
    using U = WrappingOf<T, Vec<T>>;
    return x < T{0} ? (Vec<T>)(-(U)x) : x;
}

template <class T>
struct SumOf {
    static constexpr T start = T{0};
    static THEW_INLINE Vec<T> take(Vec<T> sum, Vec<T> x, Vec<T>) { return plus<T>(sum, x); }
    template <class V>
    static THEW_INLINE V join(V a, V b) {
        return plus<T>(a, b);
    }
    static THEW_INLINE Vec<T> finish(Vec<T> sum, std::int64_t, Vec<T>) { return sum; }
};
template <class T>
struct MeanOf : SumOf<T> {
    static THEW_INLINE Vec<T> finish(Vec<T> sum, std::int64_t count, Vec<T>) {
        return sum / splat(static_cast<T>(count));
    }
};
template <class T>
struct L1Of : SumOf<T> {
    static THEW_INLINE Vec<T> take(Vec<T> sum, Vec<T> x, Vec<T>) { return plus<T>(sum, magnitude<T>(x)); }
};
template <class T>
struct SumSquareOf : SumOf<T> {
    static THEW_INLINE Vec<T> take(Vec<T> sum, Vec<T> x, Vec<T>) { return plus<T>(sum, times<T>(x, x)); }
};
template <class T>
struct L2Of : SumSquareOf<T> {
    static THEW_INLINE Vec<T> finish(Vec<T> sum, std::int64_t, Vec<T>) { return square_root<T>(sum); }
};
template <class T>
struct LogSumOf : SumOf<T> {
    static THEW_INLINE Vec<T> finish(Vec<T> sum, std::int64_t, Vec<T>) { return log<T>(sum); }
};
// The shift is the largest element; where that is infinite there is none, so that infinities give what log(Σ exp)
// gives.
template <class T>
struct LogSumExpOf : SumOf<T> {
    static THEW_INLINE Vec<T> shift_of(Vec<T> largest) { return largest - largest == T{0} ? largest : Vec<T>{}; }
    static THEW_INLINE Vec<T> take(Vec<T> sum, Vec<T> x, Vec<T> shift) { return sum + exp<T>(x - shift); }
    static THEW_INLINE Vec<T> finish(Vec<T> sum, std::int64_t, Vec<T> shift) { return log<T>(sum) + shift; }
};
template <class T>
struct ProdOf {
    static constexpr T start = T{1};
    static THEW_INLINE Vec<T> take(Vec<T> product, Vec<T> x, Vec<T>) { return times<T>(product, x); }
    template <class V>
    static THEW_INLINE V join(V a, V b) {
        return times<T>(a, b);
    }
    static THEW_INLINE Vec<T> finish(Vec<T> product, std::int64_t, Vec<T>) { return product; }
};
template <class T>
struct MaxOf {
    static constexpr T start = lowest<T>();
    static THEW_INLINE Vec<T> take(Vec<T> a, Vec<T> x, Vec<T>) { return join(a, x); }
    template <class V>
    static THEW_INLINE V join(V a, V b) {
        V larger = a > b ? a : b;
        return a != a ? a : larger;
    }
    static THEW_INLINE Vec<T> finish(Vec<T> a, std::int64_t, Vec<T>) { return a; }
};
template <class T>
struct MinOf {
    static constexpr T start = highest<T>();
    static THEW_INLINE Vec<T> take(Vec<T> a, Vec<T> x, Vec<T>) { return join(a, x); }
    template <class V>
    static THEW_INLINE V join(V a, V b) {
        V smaller = a < b ? a : b;
        return a != a ? a : smaller;
    }
    static THEW_INLINE Vec<T> finish(Vec<T> a, std::int64_t, Vec<T>) { return a; }
};

// All lanes into one: halves joined, which takes log2(L) steps, where lane after lane takes as long as a short row.
template <class T, int W, int... I>
THEW_INLINE Vec<T> lanes_from(Vec<T> v, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(v, v, (I + W) % kLanes<T>...);
}
template <class Op, class T, int W = kLanes<T> / 2>
THEW_INLINE Vec<T> fold_lanes(Vec<T> v) {
    if constexpr (W == 0) {
        return v;
    } else {
        return fold_lanes<Op, T, W / 2>(Op::join(v, lanes_from<T, W>(v, std::make_integer_sequence<int, kLanes<T>>{})));
    }
}
template <class Op, class T>
__attribute__((noinline)) Vec<T> join_lanes(Vec<T> v) {
    return fold_lanes<Op, T>(v);
}

}  // namespace
}  // namespace thew
