// Tile registers: four tiles of 16 × 16 sums, from two tiles of 16 rows of a and two of 16 columns of b, 64 of k in
// each. Rows of a and a panel of b are what the vector tiles read: a tile of b is 16 groups of four k, one below the
// other, of 16 columns side by side.
//
// Configured for as many rows as a panel has (so nothing is read past them), which takes a few hundred cycles: a block
// goes through all columns with its panels of 32 rows, then with the rest. Released after the block, since tiles in use
// are saved at every switch of threads. The intrinsics of gcc 12 do not say that loads read memory: the barriers do.
//
// Intel, "Intel 64 and IA-32 Architectures Optimization Reference Manual", chapter on AMX.
#pragma once

#include "kernels/integer/tile.hpp"

namespace thew {
namespace {

// What ldtilecfg reads.
struct TileShapes {
    std::uint8_t palette, start_row, reserved[14];
    std::uint16_t row_bytes[16];
    std::uint8_t rows[16];
};

struct ByTile : BroadcastGroups<DotOfQuads> {
    static constexpr int kDepthMultiple = 64, kMostRows = 32, kTileRows = 16;

    // Tiles 0 to 3 are sums, by row and column; 4 and 5 are of a, 6 and 7 of b.
    static void configure(int height) {
        const int upper = height < kTileRows ? height : kTileRows, lower = height - upper;
        alignas(64) TileShapes shapes{1, 0, {}, {}, {}};
        for (int tile = 0; tile < 8; ++tile) {
            const bool is_b = tile >= 6, is_lower = tile == 2 || tile == 3 || tile == 5;
            const int rows = is_b ? kTileRows : is_lower ? lower : upper;
            shapes.rows[tile] = static_cast<std::uint8_t>(rows);
            shapes.row_bytes[tile] = static_cast<std::uint16_t>(rows > 0 ? 64 : 0);
        }
        _tile_loadconfig(&shapes);
    }

    template <class Body>
    static void each_tile(std::int64_t m, std::int64_t n0, std::int64_t n1, int columns, const Body& body) {
        for (std::int64_t row = 0, configured = 0; row < m; row += kMostRows) {
            const int height = static_cast<int>(m - row < kMostRows ? m - row : kMostRows);
            if (height != configured) configure(height);
            configured = height;
            for (std::int64_t n = n0; n < n1; n += columns) body(row, height, n);
        }
        _tile_release();
    }

    template <bool kLower, bool kRight>
    static void multiply(const std::byte* a, std::int64_t ld, const std::byte* b, std::int64_t k, std::int32_t* sums) {
        constexpr std::int64_t kTile = 64, kPanel = kRight ? 2 * kTile : kTile;  // bytes of a row
        _tile_zero(0);
        if (kRight) _tile_zero(1);
        if (kLower) _tile_zero(2);
        if (kLower && kRight) _tile_zero(3);
        asm volatile("" ::: "memory");
        for (; k > 0; k -= kDepthMultiple, a += kDepthMultiple, b += kTileRows * kPanel) {
            _tile_loadd(4, a, ld);
            _tile_loadd(6, b, kPanel);
            _tile_dpbusd(0, 4, 6);
            if (kRight) _tile_loadd(7, b + kTile, kPanel);
            if (kRight) _tile_dpbusd(1, 4, 7);
            if (kLower) _tile_loadd(5, a + kTileRows * ld, ld);
            if (kLower) _tile_dpbusd(2, 5, 6);
            if (kLower && kRight) _tile_dpbusd(3, 5, 7);
        }
        constexpr std::int64_t kSums = kPanel / 4;  // of a row
        _tile_stored(0, sums, kPanel);
        if (kRight) _tile_stored(1, sums + kTileRows, kPanel);
        if (kLower) _tile_stored(2, sums + kTileRows * kSums, kPanel);
        if (kLower && kRight) _tile_stored(3, sums + kTileRows * kSums + kTileRows, kPanel);
        asm volatile("" ::: "memory");
    }

    template <int H, int V>
    static constexpr IntegerTile tile = multiply<(H > kTileRows), (V > 1)>;
};

}  // namespace
}  // namespace thew
