// The loops around the tiles, as the trunk's (kernels/matmul/driver.hpp) but for what integers need: packing converts,
// rows are summed where b's zero point asks for it, and a tile sees all of k.
//
// Scratch of a worker: [packed rows of a block], see blocking.a_row (bytes here).
#pragma once

#include "base/phase.hpp"
#include "kernels/conv/gather.hpp"
#include "kernels/integer/tile.hpp"
#include "kernels/integer/write.hpp"

namespace thew {
namespace {

using PackedA = ChosenMultiply::A;

// Runs are often short: whole words, the last overlapping the one before, and no loop that gcc makes a call of. Where
// loads can be masked, one vector that may write up to a vector past the run: what comes there is packed later.
THEW_INLINE void copy_bytes(std::uint8_t* __restrict to, const std::uint8_t* __restrict from, std::int64_t count) {
    const auto copy = [&](auto bytes, std::int64_t at) THEW_FLAT { __builtin_memcpy(to + at, from + at, bytes); };
    constexpr std::int64_t kVector = kVectorBytes;
#if defined(__AVX512BW__)
    if (count <= 32) {  // a store of half a vector crosses fewer lines
        const auto mask = static_cast<__mmask32>((std::uint64_t{1} << count) - 1);
        return _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_maskz_loadu_epi8(mask, from));
    }
    if (count <= kVector) return store(to, load_partial(from, static_cast<int>(count)));
#endif
    std::int64_t at = 0;
    const auto step = [&](std::int64_t bytes) THEW_FLAT {
        at += bytes;
        asm("" : "+r"(at));
    };
    for (; at + kVector <= count; step(kVector)) store(to + at, load(from + at));
    for (; at + 8 <= count; step(8)) copy(Constant<8>{}, at);
    if (at == count) return;
    if (count >= 8) return copy(Constant<8>{}, count - 8);
    if (count & 4) copy(Constant<4>{}, 0);
    if (count & 2) copy(Constant<2>{}, count & 4);
    if (count & 1) copy(Constant<1>{}, count & 6);
}

// Bytes with `bits` flipped: whole words, the last overlapping the one before.
template <class Word>
THEW_INLINE void flip_words(std::uint8_t* __restrict to, const std::uint8_t* __restrict from, std::int64_t count,
                            Word bits) {
    constexpr std::int64_t kBytes = sizeof(Word);
    const auto flip = [&](std::int64_t at) THEW_FLAT {
        Word word;
        __builtin_memcpy(&word, from + at, sizeof word);
        word ^= bits;
        __builtin_memcpy(to + at, &word, sizeof word);
    };
    std::int64_t at = 0;
    for (; at + 2 * kBytes < count; at += 2 * kBytes) {
        flip(at);
        flip(at + kBytes);
    }
    if (at + kBytes < count) flip(at);
    flip(count - kBytes);
}
// Not inlined: among the loops that call it gcc would keep its operands in memory.
[[maybe_unused]] __attribute__((noinline)) void flip_bytes(std::uint8_t* __restrict to,
                                                           const std::uint8_t* __restrict from, std::int64_t count,
                                                           std::uint8_t bits) {
    constexpr std::uint64_t kEach = 0x0101010101010101u;
    if (count >= static_cast<std::int64_t>(kVectorBytes)) return flip_words(to, from, count, splat(bits));
    if (count >= 8) return flip_words(to, from, count, kEach * bits);
    if (count >= 4) return flip_words(to, from, count, static_cast<std::uint32_t>(kEach * bits));
#pragma GCC unroll 1
    for (std::int64_t i = 0; i < count; ++i) to[i] = from[i] ^ bits;
}

// Bytes of a in the packed form.
struct IntegerLayout {
    PackedA* to;
    std::uint8_t flip;
    std::int32_t zero;

    void operator()(std::int64_t k, const std::uint8_t* const (&from)[1], std::int64_t count) const {
        PackedA* __restrict at = to + k;
        const std::uint8_t* __restrict source = from[0];
        if constexpr (sizeof(PackedA) == 2) {
            const auto origin = static_cast<std::int16_t>(zero);
            const std::uint8_t mask = flip;
            for (std::int64_t i = 0; i < count; ++i) {
                at[i] = static_cast<std::int16_t>(static_cast<std::int16_t>(source[i] ^ mask) - origin);
            }
        } else if (mask() == 0) {
            copy_bytes(reinterpret_cast<std::uint8_t*>(at), source, count);
        } else {
            flip_bytes(reinterpret_cast<std::uint8_t*>(at), source, count, mask());
        }
    }
    std::uint8_t mask() const { return PackedA(-1) < PackedA(0) ? flip ^ 0x80 : flip; }
};

template <class Rows>
struct IntegerDriver {
    const IntegerProduct& p;
    const Rows& rows;
    std::byte* scratch;
    std::int64_t m_tiles, n_tiles;

    IntegerDriver(const IntegerProduct& product, const Rows& a_rows, std::byte* memory)
        : p(product), rows(a_rows), scratch(memory) {
        m_tiles = (p.trunk.m - p.trunk.first + p.trunk.blocking.rows - 1) / p.trunk.blocking.rows;
        n_tiles = (p.trunk.n + p.trunk.blocking.columns - 1) / p.trunk.blocking.columns;
    }

    void pack(std::byte* to, const std::uint8_t* a, std::int64_t first, std::int64_t last) const {
        auto cursor = rows.start(first);
        Staging<std::uint8_t, 1> staging;
        for (std::int64_t row = first; row < last; ++row, to += p.trunk.blocking.a_row) {
            const decltype(cursor.place()) places[1] = {cursor.place()};
            auto* packed = reinterpret_cast<PackedA*>(to);
            constexpr int kPadded = ChosenMultiply::kDepthMultiple;  // the last so many may be padding
            if (p.trunk.k > 0) __builtin_memset(packed + p.trunk.k - kPadded, 0, kPadded * sizeof(PackedA));
            rows.visit(a, places, 0, p.trunk.k_real, staging, IntegerLayout{packed, p.flip, p.a_zero});
            cursor.advance();
        }
    }

    void run_tile(std::int64_t task, int worker) const {
        const Blocking& blocking = p.trunk.blocking;
        const std::int64_t n_tile = task % n_tiles, m_tile = task / n_tiles % m_tiles, item = task / n_tiles / m_tiles;
        const std::int64_t first = p.trunk.first + m_tile * blocking.rows;
        const std::int64_t last = first + blocking.rows < p.trunk.m ? first + blocking.rows : p.trunk.m;
        const auto* source = static_cast<const std::uint8_t*>(p.trunk.a) + walk_one(p.trunk.item, p.trunk.item.a, item);
        const std::byte* a = nullptr;
        if (blocking.in_place) {
            a = reinterpret_cast<const std::byte*>(source + walk_one(p.trunk.row, p.trunk.row.a, first));
        } else {
            std::byte* own = scratch + worker * (blocking.rows * blocking.a_row + kPackedSlack);
            enter_phase(Phase::pack);
            pack(own, source, first, last);
            enter_phase(Phase::compute);
            a = own;
        }
        std::int64_t c_offset[kMaxBlockRows], residual_offset[kMaxBlockRows];
        std::int32_t row_sums[kMaxBlockRows];
        walk_rows(p.trunk.row, p.trunk.row.c, first, last, c_offset);
        if (p.trunk.residual) walk_rows(p.trunk.row, p.trunk.row.residual, first, last, residual_offset);
        for (std::int64_t row = 0; p.b_left && row < last - first; ++row) {
            const auto* packed = reinterpret_cast<const PackedA*>(a + row * blocking.a_row);
            row_sums[row] = ChosenMultiply::sum(packed, p.trunk.k_real);
        }
        multiply_block(a, item, n_tile, last - first, {c_offset, residual_offset, row_sums});
    }

    // One each a row of a block.
    struct BlockRows {
        const std::int64_t *c_offset, *residual_offset;
        const std::int32_t* sums;
    };

    void multiply_block(const std::byte* a, std::int64_t item, std::int64_t n_tile, std::int64_t m,
                        const BlockRows& block) const {
        const Product& trunk = p.trunk;
        const std::int64_t c_bytes = p.multiplier ? 1 : 4, ld = trunk.blocking.a_row;
        std::byte* c = static_cast<std::byte*>(trunk.c) + walk_one(trunk.item, trunk.item.c, item) * c_bytes;
        const std::byte* residual = static_cast<const std::byte*>(trunk.residual);
        if (residual) residual += walk_one(trunk.item, trunk.item.residual, item);
        const std::byte* b = static_cast<const std::byte*>(trunk.b) + walk_one(trunk.item, trunk.item_b, item);
        const std::int64_t n0 = n_tile * trunk.blocking.columns;
        const std::int64_t n1 = n0 + trunk.blocking.columns < trunk.n ? n0 + trunk.blocking.columns : trunk.n;
        alignas(64) std::int32_t sums[ChosenMultiply::kMostRows * kTileColumns];
        const auto multiply = [&](std::int64_t row, int height, std::int64_t n) {
            const int columns = static_cast<int>(n1 - n < kTileColumns ? n1 - n : kTileColumns);
            const int vectors = (columns + kWordLanes - 1) / kWordLanes;
            kTiles.kernels[height - 1][vectors - 1](a + row * ld, ld, b + n * trunk.k * kBytesOfB, trunk.k, sums);
            write_integer_tile(p, sums,
                               {c + n * trunk.c_n * c_bytes, block.c_offset + row,
                                residual ? residual + n * trunk.residual_n : nullptr, block.residual_offset + row,
                                block.sums + row, item * p.n_padded + n, height, columns, vectors * kWordLanes});
        };
        ChosenMultiply::each_tile(m, n0, n1, kTileColumns, multiply);
    }

    void run(const Workers& workers) {
        auto body = [&](std::int64_t task, int worker) { run_tile(task, worker); };
        parallel_for(workers, p.trunk.items * m_tiles * n_tiles, body);
    }

    static constexpr int kBytesOfB = sizeof(PackedA);
    static constexpr IntegerTiles kTiles{};
};

void run_integer_rows(const IntegerProduct& product, const Workers& workers, std::byte* scratch) {
    const StridedRows<std::uint8_t> rows{product.trunk};
    IntegerDriver<StridedRows<std::uint8_t>>(product, rows, scratch).run(workers);
}

void run_integer_patches(const IntegerProduct& product, const Patches& patches, const Workers& workers,
                         std::byte* scratch) {
    if (patches.width_runs) {
        const WidthRuns<std::uint8_t> rows{patches};
        IntegerDriver<WidthRuns<std::uint8_t>>(product, rows, scratch).run(workers);
    } else {
        const ChannelRuns<std::uint8_t> rows{patches};
        IntegerDriver<ChannelRuns<std::uint8_t>>(product, rows, scratch).run(workers);
    }
}

}  // namespace
}  // namespace thew
