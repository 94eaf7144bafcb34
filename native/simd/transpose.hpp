// Square tiles in registers: L vectors of L elements, transposed by log2(L) rounds, each of which interleaves vector i
// with vector i + L/2 (the perfect shuffle: H. S. Stone, Parallel Processing with the Perfect Shuffle, 1971).
#pragma once

#include "simd/unroll.hpp"
#include "simd/vec.hpp"

namespace thew {
namespace {

// One or two bytes: 16-byte vectors, since a tile has as many vectors as a vector has elements.
template <class Word>
inline constexpr std::size_t kTileVectorBytes = sizeof(Word) < 4 ? 16 : kVectorBytes;

template <class Word>
struct Tile {
    static constexpr int size = static_cast<int>(kTileVectorBytes<Word> / sizeof(Word));
    typedef Word V __attribute__((vector_size(kTileVectorBytes<Word>)));

    template <int... I>
    static THEW_INLINE V interleave_low(V a, V b, std::integer_sequence<int, I...>) {
        return __builtin_shufflevector(a, b, (I / 2 + (I % 2) * size)...);
    }
    template <int... I>
    static THEW_INLINE V interleave_high(V a, V b, std::integer_sequence<int, I...>) {
        return __builtin_shufflevector(a, b, (size / 2 + I / 2 + (I % 2) * size)...);
    }
    template <int Rounds>
    static THEW_INLINE void shuffle(V (&v)[size]) {
        if constexpr (Rounds > 0) {
            using Indices = std::make_integer_sequence<int, size>;
            V next[size];
            unroll<size / 2>([&](auto i) THEW_FLAT {
                next[2 * i] = interleave_low(v[i], v[i + size / 2], Indices{});
                next[2 * i + 1] = interleave_high(v[i], v[i + size / 2], Indices{});
            });
            shuffle<Rounds / 2>(next);
            unroll<size>([&](auto i) THEW_FLAT { v[i] = next[i]; });
        }
    }
    static THEW_INLINE void turn(V (&v)[size]) { shuffle<size / 2>(v); }
    static THEW_INLINE void transpose(const std::byte* in, std::int64_t in_stride, std::byte* out,
                                      std::int64_t out_stride) {
        V v[size];
        unroll<size>([&](auto i) THEW_FLAT { __builtin_memcpy(&v[i], in + i * in_stride, sizeof(V)); });
        turn(v);
        unroll<size>([&](auto i) THEW_FLAT { __builtin_memcpy(out + i * out_stride, &v[i], sizeof(V)); });
    }
};

}  // namespace
}  // namespace thew
