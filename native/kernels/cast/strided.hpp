// Casts of rows. Between types that C++ has, plain loops that the compiler vectorises; to and from fp16 and bf16,
// blocks of fp32 on the stack between a plain loop and the vector conversions of simd/half.hpp.
#pragma once

#include <type_traits>

#include "kernels/cast/contract.hpp"
#include "simd/half.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

struct Bool {
    std::uint8_t value;
};

template <class T>
THEW_INLINE T value_of(T x) {
    return x;
}
THEW_INLINE std::uint8_t value_of(Bool x) { return x.value != 0; }

inline constexpr std::int64_t kCastBlock = 256;

template <class To, class From>
THEW_INLINE void cast_plain(const From* __restrict from, To* __restrict to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
        if constexpr (std::is_same_v<To, Bool>) {
            to[i].value = value_of(from[i]) != 0;
        } else {
            to[i] = static_cast<To>(value_of(from[i]));
        }
    }
}

// fp64 to fp32, rounded to odd: what was lost leaves a 1 in the last bit, so that a second rounding to 16 bits is
// exact.
THEW_INLINE void cast_to_odd(const double* __restrict from, float* __restrict to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
        const float near = static_cast<float>(from[i]);
        std::int32_t bits;
        __builtin_memcpy(&bits, &near, sizeof bits);
        const double back = near;
        const bool over = __builtin_fabs(back) > __builtin_fabs(from[i]);
        bits = (bits - (over ? 1 : 0)) | (back != from[i] && from[i] == from[i] ? 1 : 0);
        __builtin_memcpy(to + i, &bits, sizeof bits);
    }
}

// fp16 or bf16 to fp32, or back: four vectors at a time, so that their loads and stores pair. Once for all
// casts that go this way.
template <class To, class From, class Vector, class Tail>
THEW_INLINE void each_vector(const From* from, To* to, std::int64_t count, const Vector& vector, const Tail& tail) {
    constexpr int L = kLanes<float>;
    std::int64_t i = 0;
    for (; i + 4 * L <= count; i += 4 * L) {
        unroll<4>([&](auto v) THEW_FLAT { vector(from + i + v * L, to + i + v * L); });
    }
    for (; i + L <= count; i += L) vector(from + i, to + i);
    if (i < count) tail(from + i, to + i, static_cast<int>(count - i));
}

template <class Half>
__attribute__((noinline)) void widen_run(const Half* from, float* to, std::int64_t count) {
    each_vector(
        from, to, count, [](const Half* at, float* out) THEW_FLAT { store(out, load_widened(at)); },
        [](const Half* at, float* out, int tail) { store_partial(out, load_widened_partial(at, tail), tail); });
}

template <class Half>
__attribute__((noinline)) void narrow_run(const float* from, Half* to, std::int64_t count) {
    each_vector(
        from, to, count, [](const float* at, Half* out) THEW_FLAT { store_narrowed(out, load(at)); },
        [](const float* at, Half* out, int tail) { store_narrowed_partial(out, load_partial(at, tail), tail); });
}

// Through a block of fp32 where one side is 16 bits and the other is not fp32.
template <class To, class From>
THEW_INLINE void cast_block(const From* from, To* to, std::int64_t count) {
    alignas(kVectorBytes) float wide[kCastBlock];
    if constexpr (kIsHalf<From> && std::is_same_v<To, float>) {
        widen_run(from, to, count);
    } else if constexpr (std::is_same_v<From, float> && kIsHalf<To>) {
        narrow_run(from, to, count);
    } else if constexpr (kIsHalf<From>) {
        widen_run(from, wide, count);
        cast_block(wide, to, count);
    } else if constexpr (kIsHalf<To>) {
        if constexpr (std::is_same_v<From, double>) {
            cast_to_odd(from, wide, count);
        } else {
            cast_plain(from, wide, count);
        }
        narrow_run(wide, to, count);
    } else {
        cast_plain(from, to, count);
    }
}

template <class From, class To>
void cast_rows(const Leaf& leaf, const void*) {
    for (std::int64_t row = 0; row < leaf.rows; ++row) {
        const From* from = reinterpret_cast<const From*>(leaf.data[1] + row * leaf.row_bytes[1]);
        To* to = reinterpret_cast<To*>(leaf.data[0] + row * leaf.row_bytes[0]);
        if (leaf.step[1] == 0) {
            To one;
            cast_block(from, &one, 1);
            for (std::int64_t column = 0; column < leaf.cols; ++column) to[column] = one;
            continue;
        }
        for (std::int64_t column = 0; column < leaf.cols; column += kCastBlock) {
            const std::int64_t left = leaf.cols - column;
            cast_block(from + column, to + column, left < kCastBlock ? left : kCastBlock);
        }
    }
}

template <class From>
inline constexpr OpKernel kCasts[] = {
    {"fp64", cast_rows<From, double>},
    {"fp32", cast_rows<From, float>},
    {"fp16", cast_rows<From, Fp16>},
    {"bf16", cast_rows<From, Bf16>},
    {"int64", cast_rows<From, std::int64_t>},
    {"int32", cast_rows<From, std::int32_t>},
    {"int16", cast_rows<From, std::int16_t>},
    {"int8", cast_rows<From, std::int8_t>},
    {"uint64", cast_rows<From, std::uint64_t>},
    {"uint32", cast_rows<From, std::uint32_t>},
    {"uint16", cast_rows<From, std::uint16_t>},
    {"uint8", cast_rows<From, std::uint8_t>},
    {"bool", cast_rows<From, Bool>},
};

template <class From>
constexpr OpEntry cast_entry(DType dtype) {
    return {
        {"cast", "strided", dtype, dtype, dtype, 0, 0, 0, kIsa}, kCasts<From>, sizeof(kCasts<From>) / sizeof(OpKernel)};
}

}  // namespace
}  // namespace thew
