// Multiples of b's rows: M rows by P vectors of y in registers, k outside. Needs b_n = 1.
#pragma once

#include "kernels/gemv/contract.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

inline constexpr int kRowsTogether = 4, kVectorsTogether = 4;

// `last`: columns of the last vector; `next`: a column of vectors that is asked for meanwhile.
template <class T, int M, int P>
void add_rows(const Gemv& gemv, const T* a, const T* b, T* y, const T* next, int last) {
    const bool whole = last == kLanes<T>;
    unroll<M * P>([&](auto i) THEW_FLAT { __builtin_prefetch(y + i / P * gemv.y_m + i % P * kLanes<T>, 1); });
    Vec<T> acc[M][P];
    unroll<M * P>([&](auto i) THEW_FLAT { acc[i / P][i % P] = Vec<T>{}; });
    for (std::int64_t k = 0; k < gemv.k; ++k, a += gemv.a_k, b += gemv.b_k, next += gemv.b_k) {
        if (M > 1) __builtin_prefetch(next, 0, 2);
        Vec<T> in[P];
        unroll<P>([&](auto p) THEW_FLAT {
            const T* at = b + p * kLanes<T>;
            in[p] = p + 1 < P || whole ? load(at) : load_partial(at, last);
        });
        unroll<M>([&](auto m) THEW_FLAT {
            const Vec<T> factor = splat(a[m * gemv.a_m]);
            unroll<P>([&](auto p) THEW_FLAT { acc[m][p] = in[p] * factor + acc[m][p]; });
        });
    }
    unroll<M>([&](auto m) THEW_FLAT {
        unroll<P>([&](auto p) THEW_FLAT {
            T* to = y + m * gemv.y_m + p * kLanes<T>;
            if (p + 1 < P || whole) {
                store(to, acc[m][p]);
            } else {
                store_partial(to, acc[m][p], last);
            }
        });
    });
}

template <class T>
using AddRows = void (*)(const Gemv& gemv, const T* a, const T* b, T* y, const T* next, int last);

template <class T>
struct AddRowsKernels {
    AddRows<T> kernels[kRowsTogether][kVectorsTogether];

    constexpr AddRowsKernels() : kernels() {
        fill(std::make_integer_sequence<int, kRowsTogether * kVectorsTogether>{});
    }

private:
    template <int... I>
    constexpr void fill(std::integer_sequence<int, I...>) {
        ((kernels[I / kVectorsTogether][I % kVectorsTogether] =
              add_rows<T, I / kVectorsTogether + 1, I % kVectorsTogether + 1>),
         ...);
    }
};

template <class T>
inline constexpr AddRowsKernels<T> kAddRows{};

// Rows [0, gemv.m) of columns [first, last), all of whose pointers are of row 0, column 0. Rows that follow the first
// ones find columns near: each of them asks for a vector of those that come next.
template <class T>
void multiply_rows(const Gemv& gemv, const T* a, const T* b, T* y, std::int64_t first, std::int64_t last) {
    constexpr std::int64_t width = kVectorsTogether * kLanes<T>;
    for (std::int64_t n = first; n < last; n += width) {
        const std::int64_t columns = last - n < width ? last - n : width;
        const int vectors = static_cast<int>((columns + kLanes<T> - 1) / kLanes<T>);
        const int rest = static_cast<int>(columns - (vectors - 1) * kLanes<T>);
        for (std::int64_t m = 0; m < gemv.m; m += kRowsTogether) {
            const int rows = static_cast<int>(gemv.m - m < kRowsTogether ? gemv.m - m : kRowsTogether);
            const std::int64_t pass = m / kRowsTogether, next = n + width + (pass - 1) * kLanes<T>;
            const bool asks = pass > 0 && pass <= kVectorsTogether && next < gemv.n;
            kAddRows<T>.kernels[rows - 1][vectors - 1](gemv, a + m * gemv.a_m, b + n, y + m * gemv.y_m + n,
                                                       b + (asks ? next : n), rest);
        }
    }
}

}  // namespace
}  // namespace thew
