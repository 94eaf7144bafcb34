// The updates of one ISA: a method is what it does to one vector of each array.
#include "kernels/update/contract.hpp"
#include "simd/convert.hpp"
#include "simd/half.hpp"
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

// Elements [first, last) of the parameter.
template <class T>
using Update = void (*)(const UpdateData& data, const Numbers<T>& n, std::int64_t first, std::int64_t last);

template <class Method, class T, bool kHas0, bool kHas1, bool kHas2>
void update(const UpdateData& data, const Numbers<T>& n, std::int64_t first, std::int64_t last) {
    constexpr bool has[kMostStates] = {kHas0, kHas1, kHas2};
    T* param = static_cast<T*>(data.param);
    const T* grad = static_cast<const T*>(data.grad);
    T* state[kMostStates];
    unroll<kMostStates>([&](auto s) THEW_FLAT { state[s] = static_cast<T*>(data.state[s]); });
    auto step = [&](std::int64_t i, int count) THEW_FLAT {
        Element<T> e;
        e.w = get(param + i, count);
        e.g = lower_to<T>(raise_to<T>(get(grad + i, count) * n.factor, splat(-n.clip)), splat(n.clip));
        unroll<kMostStates>([&](auto s) THEW_FLAT {
            if constexpr (has[s]) e.state[s] = get(state[s] + i, count);
        });
        Method::template apply<T, kHas0, kHas1, kHas2>(e, n);
        put(param + i, e.w, count);
        unroll<kMostStates>([&](auto s) THEW_FLAT {
            if constexpr (has[s]) put(state[s] + i, e.state[s], count);
        });
    };
    std::int64_t i = first;
    for (; i + kLanes<T> <= last; i += kLanes<T>) step(i, kLanes<T>);
    if (i < last) step(i, static_cast<int>(last - i));
}

template <class T>
Update<T> find(UpdateMethod method, const UpdateData& data) {
    switch (method) {
        case UpdateMethod::sgd:
            return data.state[0] ? update<Sgd, T, true, false, false> : update<Sgd, T, false, false, false>;
        case UpdateMethod::adam: return update<Adam, T, true, true, false>;
        case UpdateMethod::nadam: return update<Nadam, T, true, true, false>;
        case UpdateMethod::adagrad: return update<Adagrad, T, true, false, false>;
        case UpdateMethod::rmsprop: break;
    }
    if (data.state[1])
        return data.state[2] ? update<Rmsprop, T, true, true, true> : update<Rmsprop, T, true, true, false>;
    return data.state[2] ? update<Rmsprop, T, true, false, true> : update<Rmsprop, T, true, false, false>;
}

// The arrays of elements from `first` on.
template <class T>
UpdateData from(const UpdateData& data, std::int64_t first) {
    UpdateData own = data;
    own.param = static_cast<T*>(data.param) + first;
    for (void*& state : own.state) {
        if (state) state = static_cast<T*>(state) + first;
    }
    return own;
}

constexpr std::int64_t kPiece = 1 << 14;   // elements a task
constexpr std::int64_t kWidened = 1 << 8;  // elements of a narrower gradient at a time: they stay in the first level

template <class T>
void widen(const float* from, T* to, std::int64_t count) {
    constexpr int lanes = kLanes<T>;
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(to + i, (Vec<T>)load_as<T, lanes>(from + i));
    for (; i < count; ++i) to[i] = static_cast<T>(from[i]);
}

template <class T, class Half>
void widen_halves(const Half* from, T* to, std::int64_t count) {
    constexpr int lanes = kLanes<float>;
    for (std::int64_t i = 0; i < count; i += lanes) {
        const std::int64_t left = count - i;
        float floats[lanes];
        store(floats, left >= lanes ? load_widened(from + i) : load_widened_partial(from + i, static_cast<int>(left)));
        widen(floats, to + i, left < lanes ? left : lanes);
    }
}

template <class T>
void widen_gradient(const UpdateData& data, std::int64_t first, T* to, std::int64_t count) {
    switch (data.grad_type) {
        case DType::fp16: return widen_halves(static_cast<const Fp16*>(data.grad) + first, to, count);
        case DType::bf16: return widen_halves(static_cast<const Bf16*>(data.grad) + first, to, count);
        default: return widen(static_cast<const float*>(data.grad) + first, to, count);
    }
}

// Elements [first, last), whose gradient is of a narrower type.
template <class T>
void update_widened(Update<T> apply, const Numbers<T>& numbers, const UpdateData& data, std::int64_t first,
                    std::int64_t last) {
    alignas(64) T gradient[kWidened];
    for (std::int64_t i = first; i < last; i += kWidened) {
        const std::int64_t count = last - i < kWidened ? last - i : kWidened;
        widen_gradient(data, i, gradient, count);
        UpdateData own = from<T>(data, i);
        own.grad = gradient;
        apply(own, numbers, 0, count);
    }
}

template <class T>
void run(UpdateMethod method, const UpdateCoefficients& coefficients, const UpdateData& data, const Workers& workers) {
    constexpr DType own = sizeof(T) == sizeof(double) ? DType::fp64 : DType::fp32;
    const Numbers<T> numbers(coefficients);
    const auto apply = find<T>(method, data);
    auto body = [&](std::int64_t piece, int) {
        const std::int64_t first = piece * kPiece, last = first + kPiece < data.count ? first + kPiece : data.count;
        if (data.grad_type == own) {
            apply(data, numbers, first, last);
        } else {
            update_widened(apply, numbers, data, first, last);
        }
    };
    parallel_for(workers, (data.count + kPiece - 1) / kPiece, body);
}

// The part of a gradient that is made before it is used: some rows, one after the other, of which long ones are cut.
constexpr std::int64_t kPartBytes = 1 << 16, kNearBytes = 1 << 14, kLeastRows = 4;

template <class T>
void update_part(Update<T> apply, const Numbers<T>& numbers, const UpdateData& data, const UpdateProduct& product,
                 std::int64_t m, std::int64_t n, std::int64_t rows, std::int64_t columns) {
    alignas(64) T gradient[kPartBytes / sizeof(T)];
    const Gemv part{rows, columns, product.k, product.a_m, product.a_k, product.b_k, 1, columns, 0, {}};
    product.multiply(part, static_cast<const T*>(product.a) + m * product.a_m, static_cast<const T*>(product.b) + n,
                     nullptr, gradient, Workers{1, nullptr, nullptr});
    const std::int64_t runs = columns == product.n ? 1 : rows, length = rows * columns / runs;
    for (std::int64_t run = 0; run < runs; ++run) {
        UpdateData own = from<T>(data, (m + run) * product.n + n);
        own.grad = gradient + run * length;
        apply(own, numbers, 0, length);
    }
}

template <class T>
void run_product(UpdateMethod method, const UpdateCoefficients& coefficients, const UpdateData& data,
                 const UpdateProduct& product, const Workers& workers) {
    constexpr std::int64_t size = sizeof(T), kMostColumns = kPartBytes / (kLeastRows * size);
    const std::int64_t columns = product.n < kMostColumns ? product.n : kMostColumns;
    if (columns == 0) return;
    const Numbers<T> numbers(coefficients);
    const auto apply = find<T>(method, data);
    const std::int64_t near = kNearBytes / (columns * size), rows = near > kLeastRows ? near : kLeastRows;
    const std::int64_t parts = (product.n + columns - 1) / columns;  // of a row
    auto body = [&](std::int64_t task, int) {
        const std::int64_t m = task / parts * rows, n = task % parts * columns;
        update_part(apply, numbers, data, product, m, n, product.m - m < rows ? product.m - m : rows,
                    product.n - n < columns ? product.n - n : columns);
    };
    parallel_for(workers, (product.m + rows - 1) / rows * parts, body);
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
