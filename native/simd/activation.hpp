// The activations of kernels/activation.hpp over Vec<T>: what an epilogue applies to a tile still in registers, and
// what the unary kernels run on. ONNX's definitions; NaN gives NaN.
#pragma once

#include "kernels/activation.hpp"
#include "simd/math.hpp"

namespace thew {
namespace {

template <class T>
THEW_INLINE Vec<T> clip(Vec<T> x, T low, T high) {  // as NumPy: the upper bound wins where low > high
    Vec<T> raised = x < low ? splat(low) : x;
    return raised > high ? splat(high) : raised;
}

template <class T>
THEW_INLINE Vec<T> hard_sigmoid(Vec<T> x, T alpha, T beta) {
    return clip<T>(x * alpha + beta, T(0), T(1));
}

// x · gate, where a gate of 0 closes: 0 · -inf would be NaN where the limit is 0.
template <class T>
THEW_INLINE Vec<T> gated(Vec<T> x, Vec<T> gate) {
    return gate == T(0) ? Vec<T>{} : x * gate;
}

template <class T>
THEW_INLINE Vec<T> gelu(Vec<T> x) {
    return gated<T>(x, T(0.5) + T(0.5) * erf<T>(x * T(0.70710678118654752440)));
}

template <class T>
THEW_INLINE Vec<T> swish(Vec<T> x, T alpha) {
    return gated<T>(x, sigmoid<T>(x * alpha));
}

// The same switch for every vector of a tile: the compiler hoists it, or the branch predictor does.
template <class T>
THEW_INLINE Vec<T> activate(Activation activation, Vec<T> x, T p0, T p1) {
    switch (activation) {
        case Activation::none: return x;
        case Activation::relu: return x < T(0) ? Vec<T>{} : x;
        case Activation::clip: return clip<T>(x, p0, p1);
        case Activation::leaky_relu: return x < T(0) ? x * p0 : x;
        case Activation::hard_swish: return x * hard_sigmoid<T>(x, T(1.0 / 6), T(0.5));
        case Activation::hard_sigmoid: return hard_sigmoid<T>(x, p0, p1);
        case Activation::sigmoid: return sigmoid<T>(x);
        case Activation::silu: return swish<T>(x, T(1));
        case Activation::tanh: return tanh<T>(x);
        case Activation::gelu: return gelu<T>(x);
        case Activation::elu: return x < T(0) ? expm1<T>(x) * p0 : x;
    }
    return x;
}

}  // namespace
}  // namespace thew
