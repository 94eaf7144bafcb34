// What the two pooling loops share: the reductions, and the taps of a window that lie inside the image.
#pragma once

#include <type_traits>

#include "kernels/pool/contract.hpp"
#include "simd/half.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

template <class T>
constexpr T lowest() {
    if constexpr (static_cast<T>(0.5) != T{0}) {
        return -static_cast<T>(__builtin_inf());
    } else {
        return static_cast<T>(static_cast<T>(-1) < T{0} ? std::int64_t{-1} << (sizeof(T) * 8 - 1) : 0);
    }
}

// The clipped window along one axis: taps [first, last) are inside the image; `counted` is the divisor's share.
struct Span {
    std::int64_t first, last, counted;
};

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a <= 0 ? 0 : (a + b - 1) / b; }

// `start` is the position of tap 0, possibly negative.
inline Span clip(std::int64_t start, std::int64_t taps, std::int64_t dilation, std::int64_t extent,
                 std::int64_t pad_end, bool include_pad) {
    auto below = [&](std::int64_t limit) {  // taps before `limit`
        const std::int64_t room = limit - start;
        const std::int64_t count = dilation == 1 && room > 0 ? room : ceil_div(room, dilation);
        return count < taps ? count : taps;
    };
    const std::int64_t first = below(0), last = below(extent);
    return {first, last < first ? first : last, include_pad ? below(extent + pad_end) : last - first};
}

template <class V>
struct ElementOf {
    using type = V;
};
template <class V>
requires(sizeof(V) == kVectorBytes) struct ElementOf<V> {
    using type = std::remove_cvref_t<decltype(V{}[0])>;
};
template <class V>
using Element = typename ElementOf<V>::type;

struct MaxOf {
    static constexpr bool kSumsRows = false;
    template <class T>
    static THEW_INLINE T start() {
        return lowest<T>();
    }
    template <class V>
    static THEW_INLINE V join(V a, V b) {  // of scalars or vectors; a NaN on either side stays
        if constexpr (sizeof(V) == kVectorBytes && static_cast<Element<V>>(0.5) != 0) {
            const V raised = raise_to<Element<V>>(b, a);  // of a NaN in b, b stays; on Arm one in a does, too
            if constexpr (kLaneMultiply) return raised;
            return a == a ? raised : a;
        } else {
            V larger = a > b ? a : b;
            return a != a ? a : larger;
        }
    }
    template <class V>
    static THEW_INLINE V finish(V a, V) {
        return a;
    }
};

struct AverageOf {
    static constexpr bool kSumsRows = true;  // apart from one another: shorter sums
    template <class T>
    static THEW_INLINE T start() {
        return T{0};
    }
    template <class V>
    static THEW_INLINE V join(V a, V b) {
        return a + b;
    }
    template <class V>
    static THEW_INLINE V finish(V a, V count) {
        return a / count;
    }
};

}  // namespace
}  // namespace thew
