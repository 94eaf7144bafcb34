// Elements picked or weighed along one axis, by tables: gather, padding by reflection, resizing.
#pragma once

#include "kernels/move/contract.hpp"
#include "simd/unroll.hpp"
#include "simd/vec.hpp"

namespace thew {
namespace {

template <class Word>
void pick_rows(const Leaf& leaf, const void* parameters) {
    const Sampling& s = *static_cast<const Sampling*>(parameters);
    constexpr std::int64_t size = sizeof(Word);
    const bool consecutive = leaf.cols == 1 || (leaf.col_bytes[0] == size && leaf.col_bytes[1] == size);
    for (std::int64_t row = 0; row < leaf.rows; ++row) {
        std::byte* out = leaf.data[0] + row * leaf.row_bytes[0];
        const std::byte* in = leaf.data[1] + row * leaf.row_bytes[1];
        if (consecutive && leaf.cols > 1) {
            for (std::int64_t j = 0; j < s.extent; ++j) {
                __builtin_memcpy(out + j * s.out_bytes, in + s.index[j] * s.in_bytes,
                                 static_cast<std::size_t>(leaf.cols * size));
            }
            continue;
        }
        for (std::int64_t column = 0; column < leaf.cols; ++column) {
            std::byte* to = out + column * leaf.col_bytes[0];
            const std::byte* from = in + column * leaf.col_bytes[1];
            for (std::int64_t j = 0; j < s.extent; ++j) {
                __builtin_memcpy(to + j * s.out_bytes, from + s.index[j] * s.in_bytes, sizeof(Word));
            }
        }
    }
}

// One element of the axis, columns consecutive on both sides.
template <class T>
THEW_INLINE void weigh_consecutive(const std::byte* in, T* out, std::int64_t cols, const Sampling& s, std::int64_t j) {
    const std::int64_t* index = s.index + j * s.taps;
    const T* weight = static_cast<const T*>(s.weight) + j * s.taps;
    for (std::int64_t column = 0; column < cols; column += kLanes<T>) {
        const int count = static_cast<int>(cols - column < kLanes<T> ? cols - column : kLanes<T>);
        Vec<T> sum{};
        for (std::int64_t tap = 0; tap < s.taps; ++tap) {
            const T* from = reinterpret_cast<const T*>(in + index[tap] * s.in_bytes) + column;
            sum = sum + weight[tap] * (count == kLanes<T> ? load(from) : load_partial(from, count));
        }
        if (count == kLanes<T>) {
            store(out + column, sum);
        } else {
            store_partial(out + column, sum, count);
        }
    }
}

template <class T>
void weigh_rows(const Leaf& leaf, const void* parameters) {
    const Sampling& s = *static_cast<const Sampling*>(parameters);
    constexpr std::int64_t size = sizeof(T);
    const bool consecutive = leaf.col_bytes[0] == size && leaf.col_bytes[1] == size;
    const T* weight = static_cast<const T*>(s.weight);
    for (std::int64_t row = 0; row < leaf.rows; ++row) {
        std::byte* out = leaf.data[0] + row * leaf.row_bytes[0];
        const std::byte* in = leaf.data[1] + row * leaf.row_bytes[1];
        if (consecutive) {
            for (std::int64_t j = 0; j < s.extent; ++j) {
                weigh_consecutive(in, reinterpret_cast<T*>(out + j * s.out_bytes), leaf.cols, s, j);
            }
            continue;
        }
        for (std::int64_t column = 0; column < leaf.cols; ++column) {
            std::byte* to = out + column * leaf.col_bytes[0];
            const std::byte* from = in + column * leaf.col_bytes[1];
            for (std::int64_t j = 0; j < s.extent; ++j) {
                T sum = 0;
                for (std::int64_t tap = j * s.taps; tap < (j + 1) * s.taps; ++tap) {
                    sum += weight[tap] * *reinterpret_cast<const T*>(from + s.index[tap] * s.in_bytes);
                }
                *reinterpret_cast<T*>(to + j * s.out_bytes) = sum;
            }
        }
    }
}

}  // namespace
}  // namespace thew
