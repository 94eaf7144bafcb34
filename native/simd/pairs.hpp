// Elements by twos: 2·L consecutive ones as the vector of the even and that of the odd, and back.
#pragma once

#include "simd/vec.hpp"

namespace thew {
namespace {

template <class T>
struct Pairs {
    Vec<T> even, odd;

    template <int... I>
    static THEW_INLINE Pairs apart(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
        return {__builtin_shufflevector(a, b, (2 * I)...), __builtin_shufflevector(a, b, (2 * I + 1)...)};
    }
    template <int... I>
    static THEW_INLINE void together(const Pairs& p, Vec<T>& a, Vec<T>& b, std::integer_sequence<int, I...>) {
        a = __builtin_shufflevector(p.even, p.odd, (I / 2 + I % 2 * kLanes<T>)...);
        b = __builtin_shufflevector(p.even, p.odd, (kLanes<T> / 2 + I / 2 + I % 2 * kLanes<T>)...);
    }

    // The first `count` pairs (1 ≤ count ≤ L) at any alignment; nothing beyond them is touched.
    static THEW_INLINE Pairs load_some(const T* from, int count) {
        constexpr int lanes = kLanes<T>;
        const int more = 2 * count - lanes;
        const Vec<T> a = more >= 0 ? load(from) : load_partial(from, 2 * count);
        const Vec<T> b = more >= lanes ? load(from + lanes) : more > 0 ? load_partial(from + lanes, more) : Vec<T>{};
        return apart(a, b, std::make_integer_sequence<int, lanes>{});
    }
    THEW_INLINE void store_some(T* to, int count) const {
        constexpr int lanes = kLanes<T>;
        Vec<T> a, b;
        together(*this, a, b, std::make_integer_sequence<int, lanes>{});
        const int more = 2 * count - lanes;
        if (more < 0) return store_partial(to, a, 2 * count);
        store(to, a);
        if (more >= lanes) return store(to + lanes, b);
        if (more > 0) store_partial(to + lanes, b, more);
    }
};

}  // namespace
}  // namespace thew
