// Integers of other widths, lane by lane: widening (by sign where the source is signed) and narrowing (wrapping). In
// steps of a factor of two, each one an instruction or two: gcc 12 takes a conversion over more than one step apart
// into scalars.
#pragma once

#include <type_traits>

#include "simd/vec.hpp"

namespace thew {
namespace {

template <class T, int N>
struct LanesOf {
    typedef T type __attribute__((vector_size(N * sizeof(T))));
};
template <class T, int N>
using Lanes = typename LanesOf<T, N>::type;  // N elements, whatever the register's size

template <std::size_t Bytes, bool IsSigned>
struct IntegerOf;
template <>
struct IntegerOf<1, true> {
    using type = std::int8_t;
};
template <>
struct IntegerOf<8, true> {
    using type = std::int64_t;
};
template <>
struct IntegerOf<2, true> {
    using type = std::int16_t;
};
template <>
struct IntegerOf<2, false> {
    using type = std::uint16_t;
};
template <>
struct IntegerOf<4, true> {
    using type = std::int32_t;
};
template <>
struct IntegerOf<4, false> {
    using type = std::uint32_t;
};

template <class To, class From, int N>
THEW_INLINE Lanes<To, N> convert_lanes(Lanes<From, N> x) {
    if constexpr (sizeof(To) > 2 * sizeof(From)) {
        using Next = typename IntegerOf<2 * sizeof(From), std::is_signed_v<From>>::type;
        return convert_lanes<To, Next, N>(__builtin_convertvector(x, Lanes<Next, N>));
    } else if constexpr (2 * sizeof(To) < sizeof(From)) {
        using Next = typename IntegerOf<sizeof(From) / 2, std::is_signed_v<From>>::type;
        return convert_lanes<To, Next, N>(__builtin_convertvector(x, Lanes<Next, N>));
    } else {
        return __builtin_convertvector(x, Lanes<To, N>);
    }
}

// N elements in memory, of any alignment, as lanes of another width, and back.
template <class To, int N, class From>
THEW_INLINE Lanes<To, N> load_as(const From* from) {
    Lanes<From, N> narrow;
    __builtin_memcpy(&narrow, from, sizeof narrow);
    return convert_lanes<To, From, N>(narrow);
}
template <int N, class To, class From>
THEW_INLINE void store_as(To* to, Lanes<From, N> value) {
    Lanes<To, N> narrow = convert_lanes<To, From, N>(value);
    __builtin_memcpy(to, &narrow, sizeof narrow);
}

}  // namespace
}  // namespace thew
