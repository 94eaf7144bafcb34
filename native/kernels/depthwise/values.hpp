// What a depthwise tile reads, computes in and writes:
//
//   T          what sums are made in
//   In, Out    elements of x and y
//   get(from)  a vector of pixels in T
//   Put        made from a tile's arguments; put(to, sum, multiplier) stores a vector of results
#pragma once

#include "kernels/depthwise/tile.hpp"
#include "simd/half.hpp"
#include "simd/requantise.hpp"

namespace thew {
namespace {

template <class T>
THEW_INLINE Vec<T> clamp(Vec<T> v, Vec<T> low, Vec<T> high) {  // NaN stays NaN
    return lower_to<T>(raise_to<T>(v, low), high);
}

// One element type, results clamped; 16-bit elements are computed in fp32.
template <class Element>
struct RealValues {
    using T = Wide<Element>;
    using In = Element;
    using Out = Element;
    static THEW_INLINE Vec<T> get(const In* from) { return load_widened(from); }
    struct Put {
        Vec<T> low, high;
        explicit Put(const TileArgs<RealValues>& args) : low(splat(args.low)), high(splat(args.high)) {}
        THEW_INLINE void operator()(Out* to, Vec<T> sum, const T*) const {
            store_narrowed(to, clamp<T>(sum, low, high));
        }
    };
};

// Bytes as whole numbers in fp32, results requantised.
template <class Q>
struct ByteValues {
    using T = float;
    using In = Q;
    using Out = Q;
    static THEW_INLINE Vec<float> get(const In* from) { return __builtin_convertvector(load_wide(from), Vec<float>); }
    struct Put {
        Requantise requantise;
        explicit Put(const TileArgs<ByteValues>& args)
            : requantise(args.zero, static_cast<std::int32_t>(args.low), static_cast<std::int32_t>(args.high)) {}
        THEW_INLINE void operator()(Out* to, Vec<float> sum, const float* multiplier) const {
            store_narrow(to, requantise(sum * load(multiplier)));
        }
    };
};

}  // namespace
}  // namespace thew
