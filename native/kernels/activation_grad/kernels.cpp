// The derivatives of one ISA, by activation. `V dy, V v, S s`: s.a and s.b are the activation's parameters.
#include "kernels/activation_grad/contract.hpp"
#include "kernels/elementwise_half.hpp"
#include "simd/activation.hpp"

namespace thew {
namespace {

template <class T>
struct Settings {
    T a, b;
};

template <class T, class Op>
constexpr LeafKernel derivative(Op) {
    return [](const Leaf& leaf, const void* parameters) {
        const double(&p)[2] = static_cast<const ActivationGradParameters*>(parameters)->p;
        const Settings<T> settings{static_cast<T>(p[0]), static_cast<T>(p[1])};
        map_rows<T, 2>(leaf, [&](Vec<T> dy, Vec<T> v) THEW_FLAT { return Op{}(dy, v, settings); });
    };
}

template <class T>
struct Derivatives {
    using V = Vec<T>;
    using S = const Settings<T>&;

    static THEW_INLINE V one() { return splat(T(1)); }
    static THEW_INLINE V lowest_of(V x) { return x < T(0) ? x : V{}; }
    static THEW_INLINE V gelu(V x) {
        const V density = T(0.39894228040143267794) * thew::exp<T>(T(-0.5) * x * x);
        return T(0.5) + T(0.5) * thew::erf<T>(x * T(0.70710678118654752440)) + gated<T>(x, density);
    }
    static THEW_INLINE V gelu_tanh(V x) {
        const V square = x * x;
        const V bent = thew::tanh<T>(T(0.79788456080286535588) * (x + T(0.044715) * x * square));
        const V rise = T(0.39894228040143267794) * (T(1) + T(3 * 0.044715) * square);
        return T(0.5) + T(0.5) * bent + gated<T>(x * rise, T(1) - bent * bent);
    }
    static THEW_INLINE V swish(V x, T alpha) {
        const V share = sigmoid<T>(alpha * x);
        return share + gated<T>(alpha * x, share * (T(1) - share));
    }
    // With w = e^x (e^x + 2), tanh(softplus(x)) = w / (w + 2); beyond 20 (40) it is 1 to the last place.
    static THEW_INLINE V mish(V x) {
        constexpr T beyond = sizeof(T) == 4 ? T(20) : T(40);
        const V bounded = x > beyond ? splat(beyond) : x;
        const V e = thew::exp<T>(bounded), w = e * (e + T(2)), bent = w / (w + T(2));
        return bent + gated<T>(bounded, (T(1) - bent) * (T(1) + bent) * (e / (T(1) + e)));
    }
    static THEW_INLINE V elu(V dy, V y, S s, T gamma) { return y > T(0) ? gamma * dy : dy * (y + s.a * gamma); }

    static constexpr OpKernel kernels[] = {
        {"relu", derivative<T>([](V dy, V y, S) THEW_FLAT { return y > T(0) ? dy : V{}; })},
        {"clip", derivative<T>([](V dy, V y, S s) THEW_FLAT { return (y > s.a) & (y < s.b) ? dy : V{}; })},
        {"leaky_relu", derivative<T>([](V dy, V x, S s) THEW_FLAT { return x > T(0) ? dy : s.a * dy; })},
        {"thresholded_relu", derivative<T>([](V dy, V x, S s) THEW_FLAT { return x > s.a ? dy : V{}; })},
        {"elu", derivative<T>([](V dy, V y, S s) THEW_FLAT { return elu(dy, y, s, T(1)); })},
        {"selu", derivative<T>([](V dy, V y, S s) THEW_FLAT { return elu(dy, y, s, s.b); })},
        {"celu",
         derivative<T>([](V dy, V x, S s) THEW_FLAT { return x > T(0) ? dy : dy * thew::exp<T>(lowest_of(x) / s.a); })},
        {"sigmoid", derivative<T>([](V dy, V y, S) THEW_FLAT { return dy * (y * (T(1) - y)); })},
        {"hard_sigmoid",
         derivative<T>([](V dy, V y, S s) THEW_FLAT { return (y > T(0)) & (y < T(1)) ? s.a * dy : V{}; })},
        {"silu", derivative<T>([](V dy, V x, S) THEW_FLAT { return dy * swish(x, T(1)); })},
        {"swish", derivative<T>([](V dy, V x, S s) THEW_FLAT { return dy * swish(x, s.a); })},
        {"hard_swish", derivative<T>([](V dy, V x, S) THEW_FLAT {
             const V bent = dy * (x * T(1.0 / 3) + T(0.5));
             return x <= T(-3) ? V{} : (x < T(3) ? bent : dy);
         })},
        {"tanh", derivative<T>([](V dy, V y, S) THEW_FLAT { return dy * (T(1) - y * y); })},
        {"softplus", derivative<T>([](V dy, V x, S) THEW_FLAT { return dy * sigmoid<T>(x); })},
        {"softsign", derivative<T>([](V dy, V x, S) THEW_FLAT {
             const V below = T(1) + absolute<T>(x);
             return dy / (below * below);
         })},
        {"mish", derivative<T>([](V dy, V x, S) THEW_FLAT { return dy * mish(x); })},
        {"gelu", derivative<T>([](V dy, V x, S) THEW_FLAT { return dy * gelu(x); })},
        {"gelu_tanh", derivative<T>([](V dy, V x, S) THEW_FLAT { return dy * gelu_tanh(x); })},
        {"shrink", derivative<T>([](V dy, V x, S s) THEW_FLAT { return absolute<T>(x) > s.b ? dy : V{}; })},
    };
};

template <class T>
constexpr OpEntry entry(DType dtype) {
    return {{"activation_grad", "strided", dtype, dtype, dtype, 0, 0, 0, kIsa},
            Derivatives<T>::kernels,
            sizeof(Derivatives<T>::kernels) / sizeof(OpKernel)};
}

constexpr OpEntry kEntries[] = {
    entry<float>(DType::fp32),
    entry<double>(DType::fp64),
    half_entry<Fp16, Derivatives<float>, 2>("activation_grad", DType::fp16),
    half_entry<Bf16, Derivatives<float>, 2>("activation_grad", DType::bf16),
};

}  // namespace

namespace THEW_ISA {
extern const Table<OpEntry> activation_grad_table;
const Table<OpEntry> activation_grad_table{kEntries, 4};
}  // namespace THEW_ISA

}  // namespace thew
