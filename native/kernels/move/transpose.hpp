// Transposes as square tiles in registers. A tile of L vectors of L elements is transposed by log2(L) rounds, each of
// which interleaves vector i with vector i + L/2 (the perfect shuffle: H. S. Stone, Parallel Processing with the
// Perfect Shuffle, 1971). Tiles at the far edges overlap their neighbours, so only what is narrower than a tile is
// scalar.
#pragma once

#include "kernels/move/contract.hpp"
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
    static THEW_INLINE void transpose(const std::byte* in, std::int64_t in_stride, std::byte* out,
                                      std::int64_t out_stride) {
        V v[size];
        unroll<size>([&](auto i) THEW_FLAT { __builtin_memcpy(&v[i], in + i * in_stride, sizeof(V)); });
        shuffle<size / 2>(v);
        unroll<size>([&](auto i) THEW_FLAT { __builtin_memcpy(out + i * out_stride, &v[i], sizeof(V)); });
    }
};

template <class Word>
void transpose_scalar(const TransposeBlock& block) {
    for (std::int64_t i = 0; i < block.n; ++i) {
        for (std::int64_t j = 0; j < block.m; ++j) {
            __builtin_memcpy(block.out + i * block.out_stride + j * static_cast<std::int64_t>(sizeof(Word)),
                             block.in + j * block.in_stride + i * static_cast<std::int64_t>(sizeof(Word)),
                             sizeof(Word));
        }
    }
}

// A cache line of every input row at a time, so that a line read is used up at once whatever the tile's size.
template <class Word>
void transpose(const TransposeBlock& block) {
    constexpr std::int64_t size = Tile<Word>::size, bytes = sizeof(Word), line = 64 / bytes > size ? 64 / bytes : size;
    if (block.n < size || block.m < size) return transpose_scalar<Word>(block);
    for (std::int64_t i0 = 0; i0 < block.n; i0 += line) {
        const std::int64_t end = i0 + line < block.n ? i0 + line : block.n;
        for (std::int64_t j0 = 0; j0 < block.m; j0 += size) {
            const std::int64_t j = j0 + size <= block.m ? j0 : block.m - size;
            for (std::int64_t i1 = i0; i1 < end; i1 += size) {
                const std::int64_t i = i1 + size <= block.n ? i1 : block.n - size;
                Tile<Word>::transpose(block.in + j * block.in_stride + i * bytes, block.in_stride,
                                      block.out + i * block.out_stride + j * bytes, block.out_stride);
            }
        }
    }
}

}  // namespace
}  // namespace thew
