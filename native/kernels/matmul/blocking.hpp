// How the trunk's loops are cut, from the caches found: the analytical model of Low, Igual, Smith and Quintana-Ortí,
// "Analytical Modeling Is Enough for High-Performance BLIS" (2016), with the tiles handed to workers on top. Plan side:
// included by step.cpp files, never by kernel units.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/kernel.hpp"
#include "kernels/matmul/contract.hpp"

namespace thew {

struct TileShape {
    std::int64_t mr, nr;
    std::int64_t element_bytes, a_bytes;  // in memory and of packed b; of packed a
    std::int64_t vector_bytes;
    bool keeps_sums;  // in scratch between blocks of k, since c is narrower
};

inline TileShape tile_shape(const MatmulEntry& entry) {
    const auto element_bytes = static_cast<std::int64_t>(dtype_bytes(entry.row.a));
    const auto vector_bytes = entry.vector * static_cast<std::int64_t>(dtype_bytes(entry.row.acc));
    return {entry.row.mr, entry.row.nr, element_bytes, entry.a_bytes, vector_bytes, entry.keeps_sums};
}

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

// Gives an operand that is not addressed through the walk strides that never keep dimensions from merging.
inline void join_strides(Walk& walk, bool a, bool residual) {
    std::int64_t inner = 1;
    for (int d = walk.rank - 1; d >= 0; --d) {
        if (a) walk.a[d] = inner;
        if (residual) walk.residual[d] = inner;
        inner *= walk.extent[d];
    }
}

// Drops extents of 1 and merges neighbours that every operand walks as one.
inline void collapse(Walk& walk) {
    Walk kept{};
    for (int d = 0; d < walk.rank; ++d) {
        if (walk.extent[d] == 1) continue;
        const int last = kept.rank - 1;
        auto joins = [&](const std::int64_t* outer, const std::int64_t* inner) {
            return outer[last] == inner[d] * walk.extent[d];
        };
        int at = kept.rank;
        if (last >= 0 && joins(kept.a, walk.a) && joins(kept.c, walk.c) && joins(kept.residual, walk.residual)) {
            at = last;
            kept.extent[at] *= walk.extent[d];
        } else {
            kept.extent[at] = walk.extent[d];
            kept.rank += 1;
        }
        kept.a[at] = walk.a[d], kept.c[at] = walk.c[d], kept.residual[at] = walk.residual[d];
    }
    walk = kept;
}

// k between two touches of c: as many ways of the first level hold a tile's rows of a as leave room for b's panel. But
// cores with wide vectors run as fast from their second level, and touch c too often at the depth that the model gives
// (Zen 4: 128 is 12 % slower than 512).
inline std::int64_t block_depth(const StepDesc& desc, const TileShape& tile, std::int64_t k) {
    const Caches& caches = desc.caches;
    const double ways = static_cast<double>(caches.l1_ways);
    const double share = 1.0 + static_cast<double>(tile.nr) / static_cast<double>(tile.mr);
    const double a_ways = std::max(1.0, std::floor((ways - 1.0) / share));
    const double way_bytes = static_cast<double>(caches.l1_bytes) / std::max(ways, 1.0);
    const auto fits = static_cast<std::int64_t>(a_ways * way_bytes) / (tile.mr * tile.a_bytes);
    std::int64_t most = std::max<std::int64_t>(fits, tile.vector_bytes == 64 ? 512 : 256);
    // Sums that take a place of their own are written and read once more: rows of a may fill part of the second level,
    // the same for any number of threads, since where c is narrower the cuts show in the sums.
    if (tile.keeps_sums)
        most = std::max(most, static_cast<std::int64_t>(caches.l2_least_bytes) / 4 / (tile.mr * tile.a_bytes));
    most = std::max<std::int64_t>(most * desc.cuts.depth_percent / 100, 1);
    const std::int64_t blocks = std::max<std::int64_t>(1, ceil_div(k - most / 4, most));  // a quarter over is no reason
    const std::int64_t multiple = tile.keeps_sums ? 32 : 16;  // some of those kernels take k by 32
    return std::max<std::int64_t>(round_up(ceil_div(k, blocks), multiple), multiple);
}

// Rows `stride_bytes` apart that a tile reads at once must not crowd into few sets of the first level.
inline bool rows_spread(const Caches& caches, const TileShape& tile, std::int64_t stride_bytes) {
    const std::int64_t way_bytes =
        static_cast<std::int64_t>(caches.l1_bytes / std::max<std::size_t>(caches.l1_ways, 1));
    const std::int64_t step = std::gcd(std::max<std::int64_t>(std::abs(stride_bytes), 1), way_bytes);
    const std::int64_t places = way_bytes / std::max<std::int64_t>(step, static_cast<std::int64_t>(caches.line_bytes));
    return tile.mr <= places * static_cast<std::int64_t>(caches.l1_ways) / 2;
}

// Packed rows lie an odd number of 64-byte lines apart, so that a tile's rows fall into different sets.
inline std::int64_t packed_row(std::int64_t depth, std::int64_t element_bytes) {
    const std::int64_t line = 64 / element_bytes;
    return (ceil_div(depth, line) | 1) * line;
}

inline constexpr std::int64_t kSharedBytes = 4 << 20;  // packing once is worth memory up to here

// How many tiles a step of several threads is cut into.
inline std::int64_t tiles_wanted(const StepDesc& desc) { return desc.cuts.tiles_per_worker * desc.threads; }

inline std::int64_t shared_blocks(const Product& p) {
    return p.items * ceil_div(p.m, p.blocking.rows) * std::max<std::int64_t>(1, ceil_div(p.k, p.blocking.depth));
}

// How many panels of columns a tile gets, so that `workers` are done soonest with `panels` of them in about so many
// tiles; of equal ones the fewest.
inline std::int64_t panels_of_tile(std::int64_t panels, std::int64_t workers, std::int64_t wanted) {
    std::int64_t best = 0, least = 0;
    for (std::int64_t each = ceil_div(panels, wanted); each <= ceil_div(panels, workers); ++each) {
        const std::int64_t longest = ceil_div(ceil_div(panels, each), workers) * each;
        if (best == 0 || longest < least) best = each, least = longest;
    }
    return std::max<std::int64_t>(best, 1);
}

// Fills product.blocking but for its depth, which is chosen; see choose_blocking for the parameters.
inline void cut_tiles(Product& p, const StepDesc& desc, const TileShape& tile, bool may_read_in_place,
                      std::int64_t column_pitch = 0) {
    const Caches& caches = desc.caches;
    Blocking& blocking = p.blocking;
    blocking.in_place = may_read_in_place && p.a_k == 1 && p.k == p.k_real && p.row.rank <= 1 &&
                        (p.row.rank == 0 || rows_spread(caches, tile, p.row.a[0] * tile.element_bytes));
    blocking.a_row = packed_row(ceil_div(blocking.depth * std::max(column_pitch, tile.mr), tile.mr), tile.a_bytes);

    const auto l2_bytes = static_cast<std::int64_t>(caches.l2_bytes);
    const std::int64_t row_bytes = blocking.a_row * tile.a_bytes;
    std::int64_t rows = std::clamp<std::int64_t>(l2_bytes / 2 / row_bytes, tile.mr, kMaxBlockRows);
    std::int64_t panels = std::max<std::int64_t>(ceil_div(p.n, tile.nr), 1);
    if (desc.threads > 1) {
        const std::int64_t wanted = ceil_div(tiles_wanted(desc), std::max<std::int64_t>(p.items, 1));
        const bool b_is_near = p.k * p.n * tile.element_bytes <= l2_bytes / 2;
        const std::int64_t least = (b_is_near ? 2 : 4) * tile.mr;  // rows that repay bringing b's panels in
        rows = std::min(rows, std::max(ceil_div(p.m, wanted), least));
        // As many tiles for each worker, all of them alike, so that nobody waits for a last one.
        std::int64_t m_tiles = std::max<std::int64_t>(1, ceil_div(p.m, rows));
        if (m_tiles >= desc.threads) m_tiles = round_up(m_tiles, desc.threads);
        const std::int64_t sharers = ceil_div(desc.threads, std::max<std::int64_t>(p.items, 1) * m_tiles);
        panels = panels_of_tile(panels, sharers, std::max(ceil_div(wanted, m_tiles), sharers));
        rows = ceil_div(p.m, m_tiles);
    } else {
        rows = round_up(ceil_div(p.m, std::max<std::int64_t>(1, ceil_div(p.m, rows))), tile.mr);
    }
    blocking.rows = std::clamp<std::int64_t>(rows, 1, kMaxBlockRows / tile.mr * tile.mr);
    blocking.room = round_up(blocking.rows, tile.mr);
    blocking.columns = panels * tile.nr;
    if (blocking.in_place) {
        blocking.a_row = p.row.rank == 0 ? 0 : p.row.a[0];
        return;
    }
    blocking.shared = blocking.columns < p.n && shared_blocks(p) * blocking.rows * row_bytes <= kSharedBytes;
}

// Fills product.blocking; `may_read_in_place` says that the kernel can, if the layout allows.
// `column_pitch` is that of the kernel where a is packed as columns, else 0.
inline void choose_blocking(Product& p, const StepDesc& desc, const TileShape& tile, bool may_read_in_place,
                            std::int64_t column_pitch = 0) {
    p.blocking.depth = block_depth(desc, tile, p.k);
    cut_tiles(p, desc, tile, may_read_in_place, column_pitch);
}

// Makes tiles of whole units (Blocking::unit), or units of whole tiles where a unit is larger; leaves the blocking
// alone where neither goes. To be called after choose_blocking.
inline void cut_by_units(Product& p, const TileShape& tile, std::int64_t unit) {
    Blocking& blocking = p.blocking;
    const std::int64_t units = p.m / unit;
    std::int64_t rows = 0;
    if (unit <= blocking.rows) {
        rows = unit * ceil_div(units, ceil_div(units, blocking.rows / unit));
    } else {
        std::int64_t pieces = ceil_div(unit, blocking.rows);
        while (pieces * tile.mr <= unit && unit % pieces != 0) ++pieces;
        rows = unit % pieces == 0 ? unit / pieces : 0;
        unit = rows;
    }
    if (rows == 0) return;
    blocking.rows = rows;
    blocking.unit = unit;
    blocking.room = rows / unit * round_up(unit, tile.mr);
}

inline std::size_t packed_a_bytes(const Product& p, const TileShape& tile, int threads) {
    const Blocking& blocking = p.blocking;
    if (blocking.in_place) return 0;
    const std::int64_t blocks = blocking.shared ? shared_blocks(p) : threads;
    return static_cast<std::size_t>(blocks * blocking.room * blocking.a_row * tile.a_bytes);
}

// What workers keep of sums between blocks of k: fp32.
inline std::size_t kept_sums_bytes(const Product& p, const TileShape& tile, int threads) {
    if (!tile.keeps_sums || p.blocking.depth >= p.k) return 0;
    return static_cast<std::size_t>(threads * p.blocking.rows * p.blocking.columns) * sizeof(float);
}

// Elements of one item's packed b.
inline std::int64_t packed_b_elements(std::int64_t k, std::int64_t n, std::int64_t vector) {
    return k * round_up(n, vector);
}

}  // namespace thew
