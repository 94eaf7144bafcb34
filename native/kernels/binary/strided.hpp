// The binary ops on a pair of vectors, as tables of kernels by element type.
#pragma once

#include <cmath>
#include <type_traits>

#include "kernels/binary/contract.hpp"
#include "kernels/elementwise.hpp"
#include "simd/activation.hpp"
#include "simd/convert.hpp"

namespace thew {
namespace {

// Lane masks as wide as T, stored as bools: 0 or 1, one byte each.
template <class T>
struct AsBool {
    using Output = std::uint8_t;
    using Lane = typename IntegerOf<sizeof(T), true>::type;  // a mask's element
    template <class Mask>
    static THEW_INLINE void put(std::uint8_t* to, Mask mask) {
        store_as<kLanes<T>, std::uint8_t, Lane>(to, mask & 1);
    }
    template <class Mask>
    static THEW_INLINE void put_partial(std::uint8_t* to, Mask mask, int count) {
        std::uint8_t bytes[kLanes<T>];
        put(bytes, mask);
        __builtin_memcpy(to, bytes, static_cast<std::size_t>(count));
    }
};

template <class T, class Op>
constexpr LeafKernel binary(Op) {
    return [](const Leaf& leaf, const void*) {
        map_rows<T, 2>(leaf, [](Vec<T> a, Vec<T> b) THEW_FLAT { return Op{}(a, b); });
    };
}

template <class T, class Op>
constexpr LeafKernel comparison(Op) {
    return [](const Leaf& leaf, const void*) {
        map_rows<T, 2, AsBool<T>>(leaf, [](Vec<T> a, Vec<T> b) THEW_FLAT { return Op{}(a, b); });
    };
}

// With an epilogue: loops of their own for none and relu, the common ones; one loop that switches for the rest.
template <class T, class Op>
constexpr LeafKernel fused(Op) {
    return [](const Leaf& leaf, const void* parameters) {
        const Epilogue& epilogue = static_cast<const BinaryParameters*>(parameters)->epilogue;
        const T p0 = static_cast<T>(epilogue.p0), p1 = static_cast<T>(epilogue.p1);
        switch (epilogue.activation) {
            case Activation::none: return map_rows<T, 2>(leaf, [](Vec<T> a, Vec<T> b) THEW_FLAT { return Op{}(a, b); });
            case Activation::relu:
                return map_rows<T, 2>(leaf, [](Vec<T> a, Vec<T> b) THEW_FLAT {
                    return activate<T>(Activation::relu, Op{}(a, b), T(0), T(0));
                });
            default:
                return map_rows<T, 2>(leaf, [&](Vec<T> a, Vec<T> b) THEW_FLAT {
                    return activate<T>(epilogue.activation, Op{}(a, b), p0, p1);
                });
        }
    };
}

// pow by the C library, lane by lane (exp(b log a) would lose digits), save for a constant exponent of 2, 1/2, 1 or -1.
template <class T>
void power(const Leaf& leaf, const void*) {
    const T exponent = leaf.step[2] == 0 && (leaf.rows == 1 || leaf.row_bytes[2] == 0)
                           ? *reinterpret_cast<const T*>(leaf.data[2])
                           : T(0);
    using V = Vec<T>;
    if (exponent == T(2)) return map_rows<T, 2>(leaf, [](V a, V) THEW_FLAT { return a * a; });
    if (exponent == T(1)) return map_rows<T, 2>(leaf, [](V a, V) THEW_FLAT { return a; });
    if (exponent == T(-1)) return map_rows<T, 2>(leaf, [](V a, V) THEW_FLAT { return T(1) / a; });
    map_rows<T, 2>(leaf,
                   [](V a, V b) THEW_FLAT { return each_lane<T>(a, b, [](T x, T y) { return std::pow(x, y); }); });
}

// np.mod: the divisor's sign.
template <class T>
T floored_remainder(T x, T y) {
    T rest = std::fmod(x, y);
    if (rest == T(0)) return std::copysign(T(0), y);
    return (rest < T(0)) != (y < T(0)) ? rest + y : rest;
}

template <class T>
struct Comparisons {
    using V = Vec<T>;
    static constexpr OpKernel equal{"equal", comparison<T>([](V a, V b) THEW_FLAT { return a == b; })};
    static constexpr OpKernel greater{"greater", comparison<T>([](V a, V b) THEW_FLAT { return a > b; })};
    static constexpr OpKernel less{"less", comparison<T>([](V a, V b) THEW_FLAT { return a < b; })};
    static constexpr OpKernel greater_or_equal{"greater_or_equal",
                                               comparison<T>([](V a, V b) THEW_FLAT { return a >= b; })};
    static constexpr OpKernel less_or_equal{"less_or_equal", comparison<T>([](V a, V b) THEW_FLAT { return a <= b; })};
};

template <class T>
struct BinaryOps {
    using V = Vec<T>;
    using C = Comparisons<T>;
    static constexpr OpKernel kernels[] = {
        {"add", fused<T>([](V a, V b) THEW_FLAT { return a + b; })},
        {"sub", fused<T>([](V a, V b) THEW_FLAT { return a - b; })},
        {"mul", fused<T>([](V a, V b) THEW_FLAT { return a * b; })},
        {"div", fused<T>([](V a, V b) THEW_FLAT { return a / b; })},
        {"min", binary<T>([](V a, V b) THEW_FLAT { return minimum(a, b); })},
        {"max", binary<T>([](V a, V b) THEW_FLAT { return maximum(a, b); })},
        {"prelu", binary<T>([](V a, V b) THEW_FLAT { return a < T(0) ? a * b : a; })},
        {"pow", power<T>},
        {"mod", binary<T>([](V a, V b) THEW_FLAT { return each_lane<T>(a, b, floored_remainder<T>); })},
        {"fmod",
         binary<T>([](V a, V b) THEW_FLAT { return each_lane<T>(a, b, [](T x, T y) { return std::fmod(x, y); }); })},
        C::equal,
        C::greater,
        C::less,
        C::greater_or_equal,
        C::less_or_equal,
    };
};

template <class T>
struct IntegerArithmetic {
    static T quotient(T x, T y) {
        if (y == 0) return 0;
        if constexpr (T(-1) < T(0)) {
            // The lowest value over -1 wraps instead of trapping.
            if (y == T(-1)) return static_cast<T>(0 - static_cast<std::uint64_t>(x));
        }
        return static_cast<T>(x / y);
    }
    static T remainder(T x, T y) {  // C's: the dividend's sign
        if (y == 0) return 0;
        if constexpr (T(-1) < T(0)) {
            if (y == T(-1)) return 0;
        }
        return static_cast<T>(x % y);
    }
    static T floored(T x, T y) {
        T rest = remainder(x, y);
        return rest != 0 && (rest < 0) != (y < 0) ? static_cast<T>(rest + y) : rest;
    }
    static T power(T x, T y) {  // by squaring, wrapping; a negative exponent truncates 1 / x^|y|
        if constexpr (T(-1) < T(0)) {
            if (y < 0) return x == 1 ? T(1) : x == T(-1) ? (y & 1 ? T(-1) : T(1)) : T(0);
        }
        std::uint64_t base = static_cast<std::uint64_t>(x), result = 1;
        for (auto left = static_cast<std::uint64_t>(y); left != 0; left >>= 1, base *= base) {
            if (left & 1) result *= base;
        }
        return static_cast<T>(result);
    }
};

template <class T>
struct BinaryIntegerOps {
    using V = Vec<T>;
    using C = Comparisons<T>;
    using A = IntegerArithmetic<T>;
    using U = Vec<std::make_unsigned_t<T>>;  // wraps, where signed overflow is undefined
    static constexpr OpKernel kernels[] = {
        {"add", binary<T>([](V a, V b) THEW_FLAT { return (V)((U)a + (U)b); })},
        {"sub", binary<T>([](V a, V b) THEW_FLAT { return (V)((U)a - (U)b); })},
        {"mul", binary<T>([](V a, V b) THEW_FLAT { return (V)((U)a * (U)b); })},
        {"div", binary<T>([](V a, V b) THEW_FLAT { return each_lane<T>(a, b, A::quotient); })},
        {"min", binary<T>([](V a, V b) THEW_FLAT { return a < b ? a : b; })},
        {"max", binary<T>([](V a, V b) THEW_FLAT { return a > b ? a : b; })},
        {"prelu", binary<T>([](V a, V b) THEW_FLAT { return a < T(0) ? (V)((U)a * (U)b) : a; })},
        {"pow", binary<T>([](V a, V b) THEW_FLAT { return each_lane<T>(a, b, A::power); })},
        {"mod", binary<T>([](V a, V b) THEW_FLAT { return each_lane<T>(a, b, A::floored); })},
        {"fmod", binary<T>([](V a, V b) THEW_FLAT { return each_lane<T>(a, b, A::remainder); })},
        {"bitwise_and", binary<T>([](V a, V b) THEW_FLAT { return a & b; })},
        {"bitwise_or", binary<T>([](V a, V b) THEW_FLAT { return a | b; })},
        {"bitwise_xor", binary<T>([](V a, V b) THEW_FLAT { return a ^ b; })},
        C::equal,
        C::greater,
        C::less,
        C::greater_or_equal,
        C::less_or_equal,
    };
};

struct BinaryBooleanOps {
    using T = std::uint8_t;
    using V = Vec<T>;
    static constexpr OpKernel kernels[] = {
        {"and", binary<T>([](V a, V b) THEW_FLAT { return a & b; })},
        {"or", binary<T>([](V a, V b) THEW_FLAT { return a | b; })},
        {"xor", binary<T>([](V a, V b) THEW_FLAT { return a ^ b; })},
        Comparisons<T>::equal,
    };
};

template <class Ops>
constexpr OpEntry binary_entry(DType dtype) {
    return {{"binary", "strided", dtype, dtype, dtype, 0, 0, 0, kIsa},
            Ops::kernels,
            sizeof(Ops::kernels) / sizeof(OpKernel)};
}

}  // namespace
}  // namespace thew
