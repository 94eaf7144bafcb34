// Products of bf16 by AMX: a register holds 16 rows of 32 k, or 16 pairs of k of 16 columns, or 16 × 16 sums; four of
// sums, two of a and two of b make a tile of 32 × 32. a is rows, as Broadcast packs them or as they lie in memory; b is
// pairs (BfloatPairs), which is what AMX asks for. k is a multiple of 32.
//
// How many rows the registers have is a setting of the thread's (palette 1), made when a tile's height differs from the
// one before within a Scope; other code of the process may set it between two of them.
#pragma once

#include "kernels/matmul/by_rows.hpp"

namespace thew {
namespace {

struct Matrices {
    static constexpr bool kPanels = false, kTakesColumns = false;
    static constexpr int kRequestDepth = 0;
    static constexpr int kRows = 32, kVectors = 2, kDepthOfRegister = 32;
    template <class N>
    static constexpr int kDepth = kDepthOfRegister;
    template <class N>
    static constexpr int kTogether = 1;

    struct Scope {
        Scope() { height() = 0; }
        ~Scope() { _tile_release(); }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;
    };

    template <class N, int H, int V>
    static void tile(const Bf16* a, std::int64_t ld, std::int64_t, const Bf16* b, std::int64_t k, Ahead,
                     const Write<Bf16>& write) {
        alignas(64) float sums[kRows][V * 16];
        multiply<V>(H, a, ld, b, k, sums);
        finish_rows<V>(H, sums[0], write);
    }

private:
    static int& height() {
        static thread_local int rows = 0;  // that the registers are set to
        return rows;
    }

    struct alignas(64) Setting {
        std::uint8_t palette, start_row, reserved[14];
        std::uint16_t row_bytes[16];
        std::uint8_t rows[16];
    };

    // Registers: 0 to 3 sums (by halves of rows, then of columns), 4 and 5 rows of a, 6 and 7 of b.
    static void configure(int rows) {
        if (height() == rows) return;
        height() = rows;
        const auto upper = static_cast<std::uint8_t>(rows < 16 ? rows : 16),
                   lower = static_cast<std::uint8_t>(rows - upper);
        const std::uint8_t of_register[8] = {upper, upper, lower, lower, upper, lower, 16, 16};
        Setting setting{};
        setting.palette = 1;
        for (int i = 0; i < 8; ++i) {
            setting.rows[i] = of_register[i];
            setting.row_bytes[i] = of_register[i] == 0 ? 0 : 64;
        }
        asm volatile("" ::: "memory");  // the load below is said to read eight bytes of it
        _tile_loadconfig(&setting);
    }

    template <int V>
    static __attribute__((noinline)) void multiply(int rows, const Bf16* a, std::int64_t ld, const Bf16* b,
                                                   std::int64_t k, float (&sums)[kRows][V * 16]) {
        configure(rows);
        const bool both = rows > 16;
        const std::int64_t a_bytes = 2 * ld;
        constexpr std::int64_t b_bytes = 64 * V, c_bytes = 64 * V;
        asm volatile("" ::: "memory");  // what was packed is in memory
        _tile_zero(0);
        if constexpr (V == 2) _tile_zero(1);
        if (both) {
            _tile_zero(2);
            if constexpr (V == 2) _tile_zero(3);
        }
        for (; k > 0; k -= kDepthOfRegister, a += kDepthOfRegister, b += kDepthOfRegister * V * 16) {
            _tile_loadd(6, b, b_bytes);
            _tile_loadd(4, a, a_bytes);
            _tile_dpbf16ps(0, 4, 6);
            if constexpr (V == 2) {
                _tile_loadd(7, b + 32, b_bytes);
                _tile_dpbf16ps(1, 4, 7);
            }
            if (both) {
                _tile_loadd(5, a + 16 * ld, a_bytes);
                _tile_dpbf16ps(2, 5, 6);
                if constexpr (V == 2) _tile_dpbf16ps(3, 5, 7);
            }
        }
        _tile_stored(0, sums[0], c_bytes);
        if constexpr (V == 2) _tile_stored(1, sums[0] + 16, c_bytes);
        if (both) {
            _tile_stored(2, sums[16], c_bytes);
            if constexpr (V == 2) _tile_stored(3, sums[16] + 16, c_bytes);
        }
    }
};

}  // namespace
}  // namespace thew
