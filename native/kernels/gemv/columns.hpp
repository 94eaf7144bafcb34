// Dot products with b's columns, whose elements lie side by side: M rows by N columns, a vector of partial sums each.
// Needs a_k = b_k = 1.
#pragma once

#include "kernels/gemv/contract.hpp"
#include "simd/sum_lanes.hpp"

namespace thew {
namespace {

// A few rows leave registers for more columns; more rows load less for every multiply-add.
inline constexpr int kColumnsTogether = kVectorRegisters == 32 ? 8 : 4, kDotRows = kVectorRegisters == 32 ? 4 : 1;

constexpr int columns_for(std::int64_t rows) { return kVectorRegisters == 32 && rows > 2 ? 6 : kColumnsTogether; }

// `next`: a column that is asked for meanwhile.
template <class T, int M, int N>
void dot_columns(const Gemv& gemv, const T* a, const T* b, T* y, const T* next) {
    constexpr bool kRequests = M > 1;  // one row reads columns as fast as they come
    Vec<T> acc[M][N];
    unroll<M * N>([&](auto i) THEW_FLAT { acc[i / N][i % N] = Vec<T>{}; });
    auto step = [&](std::int64_t k, auto get) THEW_FLAT {
        Vec<T> left[M];
        if (kRequests) __builtin_prefetch(next + k, 0, 2);
        unroll<M>([&](auto m) THEW_FLAT { left[m] = get(a + m * gemv.a_m + k); });
        unroll<N>([&](auto n) THEW_FLAT {
            const Vec<T> right = get(b + n * gemv.b_n + k);
            unroll<M>([&](auto m) THEW_FLAT { acc[m][n] = left[m] * right + acc[m][n]; });
        });
    };
    std::int64_t k = 0;
    for (; k + kLanes<T> <= gemv.k; k += kLanes<T>) step(k, [](const T* from) THEW_FLAT { return load(from); });
    const int left = static_cast<int>(gemv.k - k);
    if (left > 0) step(k, [left](const T* from) THEW_FLAT { return load_partial(from, left); });
    unroll<M>([&](auto m) THEW_FLAT {
        constexpr int groups = (N + kLanes<T> - 1) / kLanes<T>;
        unroll<groups>([&](auto g) THEW_FLAT {
            constexpr int first = g * kLanes<T>, count = N - first < kLanes<T> ? N - first : kLanes<T>;
            Vec<T> v[kLanes<T>];
            unroll<kLanes<T>>([&](auto i) THEW_FLAT {
                if constexpr (i < count) {
                    v[i] = acc[m][first + i];
                } else {
                    v[i] = Vec<T>{};
                }
            });
            store_partial(y + m * gemv.y_m + first, sum_lanes<T>(v), count);
        });
    });
}

template <class T>
using DotColumns = void (*)(const Gemv& gemv, const T* a, const T* b, T* y, const T* next);

template <class T>
struct DotColumnsKernels {
    DotColumns<T> kernels[kDotRows][kColumnsTogether];

    constexpr DotColumnsKernels() : kernels() { fill(std::make_integer_sequence<int, kDotRows * kColumnsTogether>{}); }

private:
    template <int M, int N>
    constexpr void enter() {
        if constexpr (N <= columns_for(M)) kernels[M - 1][N - 1] = dot_columns<T, M, N>;
    }
    template <int... I>
    constexpr void fill(std::integer_sequence<int, I...>) {
        (enter<I / kColumnsTogether + 1, I % kColumnsTogether + 1>(), ...);
    }
};

template <class T>
inline constexpr DotColumnsKernels<T> kDotColumns{};

// All rows of columns [first, last). Rows that follow the first ones find columns near: each asks for one that comes
// next.
template <class T>
void multiply_columns(const Gemv& gemv, const T* a, const T* b, T* y, std::int64_t first, std::int64_t last) {
    const int together = columns_for(gemv.m < kDotRows ? gemv.m : kDotRows);
    for (std::int64_t n = first; n < last; n += together) {
        const int columns = static_cast<int>(last - n < together ? last - n : together);
        for (std::int64_t m = 0; m < gemv.m; m += kDotRows) {
            const int rows = static_cast<int>(gemv.m - m < kDotRows ? gemv.m - m : kDotRows);
            const std::int64_t next = n + together + m / kDotRows, most = n + 2 * together;
            const T* ahead = b + (next < most && next < gemv.n ? next : n) * gemv.b_n;
            kDotColumns<T>.kernels[rows - 1][columns - 1](gemv, a + m * gemv.a_m, b + n * gemv.b_n,
                                                          y + m * gemv.y_m + n, ahead);
        }
    }
}

}  // namespace
}  // namespace thew
