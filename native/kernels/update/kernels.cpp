// The updates of one ISA: a method is what it does to one vector of each array.
#include "kernels/update/contract.hpp"
#include "simd/math.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

template <class T>
struct Numbers {  // UpdateCoefficients in the element type
    T factor, clip, rate, keep, weight_decay, momentum, beta1, beta2, rest1, rest2, square_factor, epsilon, of_gradient,
        of_mean;
    bool nesterov;

    explicit Numbers(const UpdateCoefficients& c)
        : factor(static_cast<T>(c.factor)),
          clip(static_cast<T>(c.clip)),
          rate(static_cast<T>(c.rate)),
          keep(static_cast<T>(c.keep)),
          weight_decay(static_cast<T>(c.weight_decay)),
          momentum(static_cast<T>(c.momentum)),
          beta1(static_cast<T>(c.beta1)),
          beta2(static_cast<T>(c.beta2)),
          rest1(static_cast<T>(1 - c.beta1)),
          rest2(static_cast<T>(1 - c.beta2)),
          square_factor(static_cast<T>(c.square_factor)),
          epsilon(static_cast<T>(c.epsilon)),
          of_gradient(static_cast<T>(c.of_gradient)),
          of_mean(static_cast<T>(c.of_mean)),
          nesterov(c.nesterov) {}
};

// Vectors of the parameter, its gradient (scaled and clamped) and its states; the gradient is used up.
template <class T>
struct Element {
    Vec<T> w, g, state[kMostStates];
};

struct Sgd {
    template <class T, bool kHas0, bool, bool>
    static THEW_INLINE void apply(Element<T>& e, const Numbers<T>& n) {
        e.g = n.weight_decay * e.w + e.g;
        if constexpr (kHas0) {
            e.state[0] = n.momentum * e.state[0] + e.g;
            e.g = n.nesterov ? n.momentum * e.state[0] + e.g : e.state[0];
        }
        e.w = e.w - n.rate * e.g;
    }
};

struct Adam {
    template <class T>
    static THEW_INLINE Vec<T> root(Element<T>& e, const Numbers<T>& n) {
        e.w = e.w * n.keep;
        e.g = n.weight_decay * e.w + e.g;
        e.state[0] = n.beta1 * e.state[0] + n.rest1 * e.g;
        e.state[1] = n.beta2 * e.state[1] + n.rest2 * e.g * e.g;
        return Whole<T>::square_root(e.state[1] * n.square_factor) + n.epsilon;
    }
    template <class T, bool, bool, bool>
    static THEW_INLINE void apply(Element<T>& e, const Numbers<T>& n) {
        const Vec<T> below = root<T>(e, n);
        e.w = e.w - n.rate * e.state[0] / below;
    }
};

struct Nadam {
    template <class T, bool, bool, bool>
    static THEW_INLINE void apply(Element<T>& e, const Numbers<T>& n) {
        const Vec<T> below = Adam::root<T>(e, n);
        e.w = e.w - n.rate * (n.of_gradient * e.g + n.of_mean * e.state[0]) / below;
    }
};

struct Rmsprop {
    template <class T, bool, bool kHasVelocity, bool kHasMiddle>
    static THEW_INLINE void apply(Element<T>& e, const Numbers<T>& n) {
        e.g = n.weight_decay * e.w + e.g;
        e.state[0] = n.beta2 * e.state[0] + n.rest2 * e.g * e.g;
        Vec<T> spread = e.state[0];
        if constexpr (kHasMiddle) {
            e.state[2] = n.beta2 * e.state[2] + n.rest2 * e.g;
            spread = spread - e.state[2] * e.state[2];
        }
        Vec<T> change = e.g / (Whole<T>::square_root(spread) + n.epsilon);
        if constexpr (kHasVelocity) change = e.state[1] = n.momentum * e.state[1] + change;
        e.w = e.w - n.rate * change;
    }
};

struct Adagrad {
    template <class T, bool, bool, bool>
    static THEW_INLINE void apply(Element<T>& e, const Numbers<T>& n) {
        e.g = n.weight_decay * e.w + e.g;
        e.state[0] = e.state[0] + e.g * e.g;
        e.w = e.w - n.rate * e.g / (Whole<T>::square_root(e.state[0]) + n.epsilon);
    }
};

template <class T>
THEW_INLINE Vec<T> get(const T* from, int count) {
    return count == kLanes<T> ? load(from) : load_partial(from, count);
}
template <class T>
THEW_INLINE void put(T* to, Vec<T> value, int count) {
    if (count == kLanes<T>) {
        store(to, value);
    } else {
        store_partial(to, value, count);
    }
}

// The gradient as it lies in memory.
template <class T>
struct Stored {
    const T* grad;
    THEW_INLINE Vec<T> at(std::int64_t i, int count) const { return get(grad + i, count); }
};

// A row of a product, element i of which is Σ_k a[k]·b[k, i].
template <class T>
struct ProductRow {
    const T *a, *b;
    std::int64_t k, a_k, b_k;
    THEW_INLINE Vec<T> at(std::int64_t i, int count) const {
        Vec<T> sum = splat(a[0]) * get(b + i, count);
        for (std::int64_t at = 1; at < k; ++at) sum = splat(a[at * a_k]) * get(b + at * b_k + i, count) + sum;
        return sum;
    }
};

// Elements [first, last) of the parameter.
template <class T, class Gradient>
using Update = void (*)(const UpdateData& data, const Gradient& gradient, const Numbers<T>& n, std::int64_t first,
                        std::int64_t last);

template <class Method, class T, class Gradient, bool kHas0, bool kHas1, bool kHas2>
void update(const UpdateData& data, const Gradient& gradient, const Numbers<T>& n, std::int64_t first,
            std::int64_t last) {
    constexpr bool has[kMostStates] = {kHas0, kHas1, kHas2};
    T* param = static_cast<T*>(data.param);
    auto step = [&](std::int64_t i, int count) THEW_FLAT {
        Element<T> e;
        e.w = get(param + i, count);
        e.g = lower_to<T>(raise_to<T>(gradient.at(i, count) * n.factor, splat(-n.clip)), splat(n.clip));
        for (int s = 0; s < kMostStates; ++s) {
            e.state[s] = has[s] ? get(static_cast<const T*>(data.state[s]) + i, count) : Vec<T>{};
        }
        Method::template apply<T, kHas0, kHas1, kHas2>(e, n);
        put(param + i, e.w, count);
        for (int s = 0; s < kMostStates; ++s) {
            if (has[s]) put(static_cast<T*>(data.state[s]) + i, e.state[s], count);
        }
    };
    std::int64_t i = first;
    for (; i + kLanes<T> <= last; i += kLanes<T>) step(i, kLanes<T>);
    if (i < last) step(i, static_cast<int>(last - i));
}

template <class T, class G>
Update<T, G> find(UpdateMethod method, const UpdateData& data) {
    switch (method) {
        case UpdateMethod::sgd:
            return data.state[0] ? update<Sgd, T, G, true, false, false> : update<Sgd, T, G, false, false, false>;
        case UpdateMethod::adam: return update<Adam, T, G, true, true, false>;
        case UpdateMethod::nadam: return update<Nadam, T, G, true, true, false>;
        case UpdateMethod::adagrad: return update<Adagrad, T, G, true, false, false>;
        case UpdateMethod::rmsprop: break;
    }
    if (data.state[1])
        return data.state[2] ? update<Rmsprop, T, G, true, true, true> : update<Rmsprop, T, G, true, true, false>;
    return data.state[2] ? update<Rmsprop, T, G, true, false, true> : update<Rmsprop, T, G, true, false, false>;
}

constexpr std::int64_t kPiece = 1 << 14;  // elements a task

template <class T>
void run(UpdateMethod method, const UpdateCoefficients& coefficients, const UpdateData& data, const Workers& workers) {
    const Numbers<T> numbers(coefficients);
    const Stored<T> gradient{static_cast<const T*>(data.grad)};
    const auto apply = find<T, Stored<T>>(method, data);
    auto body = [&](std::int64_t piece, int) {
        const std::int64_t first = piece * kPiece, last = first + kPiece < data.count ? first + kPiece : data.count;
        apply(data, gradient, numbers, first, last);
    };
    parallel_for(workers, (data.count + kPiece - 1) / kPiece, body);
}

template <class T>
void run_product(UpdateMethod method, const UpdateCoefficients& coefficients, const UpdateData& data,
                 const UpdateProduct& product, const Workers& workers) {
    const Numbers<T> numbers(coefficients);
    const auto apply = find<T, ProductRow<T>>(method, data);
    const std::int64_t rows = product.n < kPiece ? kPiece / product.n : 1;
    auto body = [&](std::int64_t task, int) {
        const std::int64_t end = (task + 1) * rows < product.m ? (task + 1) * rows : product.m;
        for (std::int64_t m = task * rows; m < end; ++m) {
            UpdateData row = data;
            row.param = static_cast<T*>(data.param) + m * product.n;
            for (int s = 0; s < kMostStates; ++s) {
                if (data.state[s]) row.state[s] = static_cast<T*>(data.state[s]) + m * product.n;
            }
            const ProductRow<T> gradient{static_cast<const T*>(product.a) + m * product.a_m,
                                         static_cast<const T*>(product.b), product.k, product.a_k, product.b_k};
            apply(row, gradient, numbers, 0, product.n);
        }
    };
    parallel_for(workers, product.n > 0 ? (product.m + rows - 1) / rows : 0, body);
}

template <class T>
constexpr UpdateEntry entry(DType type) {
    return {{"update", "fused", type, type, type, 0, 0, 0, kIsa}, run<T>, run_product<T>};
}

constexpr UpdateEntry kEntries[] = {entry<float>(DType::fp32), entry<double>(DType::fp64)};

}  // namespace

namespace THEW_ISA {
extern const Table<UpdateEntry> update_table;
const Table<UpdateEntry> update_table{kEntries, 2};
}  // namespace THEW_ISA

}  // namespace thew
