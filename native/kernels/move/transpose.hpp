// Transposes as square tiles in registers (simd/transpose.hpp). Tiles at the far edges overlap their neighbours, so
// only what is narrower than a tile is scalar.
#pragma once

#include "kernels/move/contract.hpp"
#include "simd/transpose.hpp"

namespace thew {
namespace {

// Narrower than a tile on one side: the long side is the inner loop.
template <class Word>
void transpose_narrow(const TransposeBlock& block) {
    constexpr std::int64_t size = sizeof(Word);
    const bool by_row = block.m >= block.n;
    const std::int64_t outer = by_row ? block.n : block.m, inner = by_row ? block.m : block.n;
    const std::int64_t in_step = by_row ? block.in_stride : size, out_step = by_row ? size : block.out_stride;
    for (std::int64_t o = 0; o < outer; ++o) {
        const std::byte* in = block.in + o * (by_row ? size : block.in_stride);
        std::byte* out = block.out + o * (by_row ? block.out_stride : size);
        for (std::int64_t k = 0; k < inner; ++k, in += in_step, out += out_step)
            __builtin_memcpy(out, in, sizeof(Word));
    }
}

// A few planes to packed pixels (out[i * C + c] = in[c][i]) and back: groups that the compiler vectorises.
template <class Word, int C>
void interleave(const TransposeBlock& block) {
    typedef Word Aliased __attribute__((may_alias));
    Aliased* __restrict out = reinterpret_cast<Aliased*>(block.out);
    const Aliased* plane[C];
    for (int c = 0; c < C; ++c) plane[c] = reinterpret_cast<const Aliased*>(block.in + c * block.in_stride);
    for (std::int64_t i = 0; i < block.n; ++i) {
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) out[i * C + c] = plane[c][i];
    }
}
template <class Word, int C>
void separate(const TransposeBlock& block) {
    typedef Word Aliased __attribute__((may_alias));
    const Aliased* __restrict in = reinterpret_cast<const Aliased*>(block.in);
    Aliased* plane[C];
    for (int c = 0; c < C; ++c) plane[c] = reinterpret_cast<Aliased*>(block.out + c * block.out_stride);
    for (std::int64_t j = 0; j < block.m; ++j) {
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) plane[c][j] = in[j * C + c];
    }
}

template <class Word>
void transpose_few(const TransposeBlock& block) {
    constexpr std::int64_t size = sizeof(Word);
    const bool packs = block.out_stride == block.m * size, unpacks = block.in_stride == block.n * size;
    if (packs && block.m == 2) return interleave<Word, 2>(block);
    if (packs && block.m == 3) return interleave<Word, 3>(block);
    if (packs && block.m == 4) return interleave<Word, 4>(block);
    if (unpacks && block.n == 2) return separate<Word, 2>(block);
    if (unpacks && block.n == 3) return separate<Word, 3>(block);
    if (unpacks && block.n == 4) return separate<Word, 4>(block);
    transpose_narrow<Word>(block);
}

// Blocks of a cache line squared, whatever the tile's size: a line read is used up at once, and so is a line written.
// The order within a block completes the output's lines one after the other, unless the input's lines compete for one
// set of the L1 cache (strides of a page): then it completes those.
template <class Word>
void transpose(const TransposeBlock& block) {
    constexpr std::int64_t size = Tile<Word>::size, bytes = sizeof(Word), line = 64 / bytes > size ? 64 / bytes : size;
    if (block.n < size || block.m < size) return transpose_few<Word>(block);
    const bool input_first = block.in_stride % 4096 == 0;
    const auto tile = [&](std::int64_t i, std::int64_t j) THEW_FLAT {
        if (i > block.n - size) i = block.n - size;
        if (j > block.m - size) j = block.m - size;
        Tile<Word>::transpose(block.in + j * block.in_stride + i * bytes, block.in_stride,
                              block.out + i * block.out_stride + j * bytes, block.out_stride);
    };
    for (std::int64_t i0 = 0; i0 < block.n; i0 += line) {
        const std::int64_t i_end = i0 + line < block.n ? i0 + line : block.n;
        for (std::int64_t j0 = 0; j0 < block.m; j0 += line) {
            const std::int64_t j_end = j0 + line < block.m ? j0 + line : block.m;
            const std::int64_t outer = input_first ? j0 : i0, outer_end = input_first ? j_end : i_end;
            const std::int64_t inner = input_first ? i0 : j0, inner_end = input_first ? i_end : j_end;
            for (std::int64_t o = outer; o < outer_end; o += size) {
                for (std::int64_t k = inner; k < inner_end; k += size) tile(input_first ? k : o, input_first ? o : k);
            }
        }
    }
}

}  // namespace
}  // namespace thew
