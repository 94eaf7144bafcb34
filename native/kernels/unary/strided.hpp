// The unary ops on one vector, as tables of kernels by element type.
#pragma once

#include <cmath>
#include <cstring>
#include <type_traits>

#include "kernels/elementwise.hpp"
#include "kernels/unary/contract.hpp"
#include "simd/activation.hpp"

namespace thew {
namespace {

template <class T>
struct Settings {  // UnaryParameters in the element type
    T a, b, low, high;
    THEW_INLINE explicit Settings(const UnaryParameters& given) {
        a = static_cast<T>(given.p[0]);
        b = static_cast<T>(given.p[1]);
        std::memcpy(&low, given.bounds[0], sizeof(T));
        std::memcpy(&high, given.bounds[1], sizeof(T));
    }
};

// The kernel of op(x, settings), which holds no state.
template <class T, class Op>
constexpr LeafKernel unary(Op) {
    return [](const Leaf& leaf, const void* parameters) {
        const Settings<T> settings(*static_cast<const UnaryParameters*>(parameters));
        map_rows<T, 1>(leaf, [&](Vec<T> x) THEW_FLAT { return Op{}(x, settings); });
    };
}

template <class T>
struct UnaryOps {
    using V = Vec<T>;
    using S = const Settings<T>&;

    static THEW_INLINE V positive(V x) { return x < T(0) ? V{} : x; }
    static THEW_INLINE V sign(V x) {  // NaN stays, zeros become +0
        V one = x > T(0) ? splat(T(1)) : V{};
        return x != x ? x : (x < T(0) ? splat(T(-1)) : one);
    }
    static THEW_INLINE V gelu_tanh(V x) {
        V inner = T(0.79788456080286535588) * (x + T(0.044715) * x * x * x);
        return gated<T>(x, T(0.5) + T(0.5) * thew::tanh<T>(inner));
    }
    static THEW_INLINE V softsign(V x) {
        V magnitude = absolute<T>(x);
        return with_sign_of<T>(magnitude == T(__builtin_inf()) ? splat(T(1)) : magnitude / (T(1) + magnitude), x);
    }
    // tanh(log(1 + e^x)) = w / (w + 2), w = e^x (e^x + 2); it is 1 to the last place beyond 20 (40)
    static THEW_INLINE V mish(V x) {
        constexpr T beyond = sizeof(T) == 4 ? T(20) : T(40);
        V e = thew::exp<T>(x > beyond ? splat(beyond) : x);
        V w = e * (e + T(2));
        return gated<T>(x, w / (w + T(2)));
    }

    static constexpr OpKernel kernels[] = {
        {"abs", unary<T>([](V x, S) THEW_FLAT { return absolute<T>(x); })},
        {"neg", unary<T>([](V x, S) THEW_FLAT { return -x; })},
        {"exp", unary<T>([](V x, S) THEW_FLAT { return thew::exp<T>(x); })},
        {"log", unary<T>([](V x, S) THEW_FLAT { return thew::log<T>(x); })},
        {"sqrt", unary<T>([](V x, S) THEW_FLAT { return square_root<T>(x); })},
        {"reciprocal", unary<T>([](V x, S) THEW_FLAT { return T(1) / x; })},
        {"floor", unary<T>([](V x, S) THEW_FLAT { return Whole<T>::down(x); })},
        {"ceil", unary<T>([](V x, S) THEW_FLAT { return Whole<T>::up(x); })},
        {"round", unary<T>([](V x, S) THEW_FLAT { return Whole<T>::nearest(x); })},
        {"sign", unary<T>([](V x, S) THEW_FLAT { return sign(x); })},
        {"relu", unary<T>([](V x, S) THEW_FLAT { return positive(x); })},
        {"leaky_relu", unary<T>([](V x, S s) THEW_FLAT { return x < T(0) ? x * s.a : x; })},
        {"elu", unary<T>([](V x, S s) THEW_FLAT { return x < T(0) ? thew::expm1<T>(x) * s.a : x; })},
        {"selu", unary<T>([](V x, S s) THEW_FLAT { return s.b * (x < T(0) ? thew::expm1<T>(x) * s.a : x); })},
        {"celu", unary<T>([](V x, S s) THEW_FLAT { return x < T(0) ? thew::expm1<T>(x / s.a) * s.a : x; })},
        {"sigmoid", unary<T>([](V x, S) THEW_FLAT { return sigmoid<T>(x); })},
        {"hard_sigmoid", unary<T>([](V x, S s) THEW_FLAT { return hard_sigmoid<T>(x, s.a, s.b); })},
        {"hard_swish", unary<T>([](V x, S) THEW_FLAT { return x * hard_sigmoid<T>(x, T(1.0 / 6), T(0.5)); })},
        {"silu", unary<T>([](V x, S s) THEW_FLAT { return swish<T>(x, s.a); })},
        {"swish", unary<T>([](V x, S s) THEW_FLAT { return swish<T>(x, s.a); })},
        {"tanh", unary<T>([](V x, S) THEW_FLAT { return thew::tanh<T>(x); })},
        {"softplus", unary<T>([](V x, S) THEW_FLAT { return softplus<T>(x); })},
        {"softsign", unary<T>([](V x, S) THEW_FLAT { return softsign(x); })},
        {"gelu", unary<T>([](V x, S) THEW_FLAT { return gelu<T>(x); })},
        {"gelu_tanh", unary<T>([](V x, S) THEW_FLAT { return gelu_tanh(x); })},
        {"erf", unary<T>([](V x, S) THEW_FLAT { return thew::erf<T>(x); })},
        {"mish", unary<T>([](V x, S) THEW_FLAT { return mish(x); })},
        {"clip", unary<T>([](V x, S s) THEW_FLAT { return clip<T>(x, s.low, s.high); })},
        {"thresholded_relu", unary<T>([](V x, S s) THEW_FLAT { return x <= s.a ? V{} : x; })},
        {"sin", unary<T>([](V x, S) THEW_FLAT { return each_lane<T>(x, [](T v) { return std::sin(v); }); })},
        {"cos", unary<T>([](V x, S) THEW_FLAT { return each_lane<T>(x, [](T v) { return std::cos(v); }); })},
        {"tan", unary<T>([](V x, S) THEW_FLAT { return each_lane<T>(x, [](T v) { return std::tan(v); }); })},
        {"asin", unary<T>([](V x, S) THEW_FLAT { return each_lane<T>(x, [](T v) { return std::asin(v); }); })},
        {"acos", unary<T>([](V x, S) THEW_FLAT { return each_lane<T>(x, [](T v) { return std::acos(v); }); })},
        {"atan", unary<T>([](V x, S) THEW_FLAT { return each_lane<T>(x, [](T v) { return std::atan(v); }); })},
        {"sinh", unary<T>([](V x, S) THEW_FLAT { return each_lane<T>(x, [](T v) { return std::sinh(v); }); })},
        {"cosh", unary<T>([](V x, S) THEW_FLAT { return each_lane<T>(x, [](T v) { return std::cosh(v); }); })},
        {"asinh", unary<T>([](V x, S) THEW_FLAT { return each_lane<T>(x, [](T v) { return std::asinh(v); }); })},
        {"acosh", unary<T>([](V x, S) THEW_FLAT { return each_lane<T>(x, [](T v) { return std::acosh(v); }); })},
        {"atanh", unary<T>([](V x, S) THEW_FLAT { return each_lane<T>(x, [](T v) { return std::atanh(v); }); })},
    };
};

template <class T>
struct UnaryIntegerOps {
    using V = Vec<T>;
    using S = const Settings<T>&;
    static THEW_INLINE V negative(V x) { return (V)(-(Vec<std::make_unsigned_t<T>>)x); }  // wraps
    static constexpr OpKernel kernels[] = {
        {"abs", unary<T>([](V x, S) THEW_FLAT { return x < T(0) ? negative(x) : x; })},
        {"neg", unary<T>([](V x, S) THEW_FLAT { return negative(x); })},
        {"sign",
         unary<T>([](V x, S) THEW_FLAT { return (x < T(0) ? splat(T(-1)) : V{}) + (x > T(0) ? splat(T(1)) : V{}); })},
        {"relu", unary<T>([](V x, S) THEW_FLAT { return x < T(0) ? V{} : x; })},
        {"clip", unary<T>([](V x, S s) THEW_FLAT {
             V raised = x < s.low ? splat(s.low) : x;
             return raised > s.high ? splat(s.high) : raised;
         })},
        {"bitwise_not", unary<T>([](V x, S) THEW_FLAT { return ~x; })},
    };
};

struct UnaryBooleanOps {
    static constexpr OpKernel kernels[] = {
        {"not",
         unary<std::uint8_t>([](Vec<std::uint8_t> x, const Settings<std::uint8_t>&) THEW_FLAT { return x ^ 1; })},
    };
};

template <class Ops>
constexpr OpEntry unary_entry(DType dtype) {
    return {{"unary", "strided", dtype, dtype, dtype, 0, 0, 0, kIsa},
            Ops::kernels,
            sizeof(Ops::kernels) / sizeof(OpKernel)};
}

}  // namespace
}  // namespace thew
