// The inner loops: H rows by V vectors of sums stay in registers over all of k, and go to a small buffer that the
// writer reads (which costs a store and a load a vector, and keeps requantisation out of the many tiles). Rows of
// packed a are `ld` bytes apart, k side by side in them, so that rows that lie in memory like this need no packing. b's
// panel holds, for each group of k, the columns side by side.
//
//   BroadcastGroups    x86: four bytes of a row to all lanes
//   ByGroup      NEON with dotprod: 16 k of a row in a register, its four groups one by one as a lane
//   ByElement    NEON: 8 k of a row as 16-bit integers, one by one as a lane
//   ByPair       NEON with i8mm: two rows by two columns in a register
//   ByTile       AMX: tile_amx.hpp
#pragma once

#include "kernels/matmul/panels.hpp"
#include "simd/dot.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

using IntegerTile = void (*)(const std::byte* a, std::int64_t ld, const std::byte* b, std::int64_t k,
                             std::int32_t* sums);

template <class T>
THEW_INLINE T read_as(const std::byte* from) {
    T value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

template <int H, int V>
THEW_INLINE void store_sums(const Sums (&acc)[H][V], std::int32_t* sums) {
    unroll<H * V>([&](auto n) THEW_FLAT { store(sums + n * kLanes<std::int32_t>, acc[n / V][n % V]); });
}

// The order of a block's tiles: the next panel of b once all rows have met this one, which stays near; rows in panels
// of about one height.
template <class Multiply>
struct EvenTiles {
    template <class Body>
    static THEW_INLINE void each_tile(std::int64_t m, std::int64_t n0, std::int64_t n1, int columns, const Body& body) {
        const Panels panels(m, Multiply::kMostRows, 1);
        for (std::int64_t n = n0; n < n1; n += columns) {
            for (std::int64_t panel = 0, row = 0; panel < panels.count; ++panel) {
                const int height = panels.height(panel);
                body(row, height, n);
                row += height;
            }
        }
    }
};

#if defined(__x86_64__)

// Σ of a register's lanes, by halves.
THEW_INLINE std::int32_t sum_lanes(Sums x) {
#if defined(__AVX512F__)
    __m256i halves[2];
    __builtin_memcpy(halves, &x, sizeof halves);
    const __m256i eight = _mm256_add_epi32(halves[0], halves[1]);
#elif defined(__AVX2__)
    const __m256i eight = (__m256i)x;
#endif
#if defined(__AVX2__)
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
#else
    __m128i four = (__m128i)x;
#endif
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return _mm_cvtsi128_si32(four);
}

template <class Dot>
struct BroadcastGroups : EvenTiles<BroadcastGroups<Dot>> {
    using A = typename Dot::A;
    static constexpr int kGroup = Dot::kGroup, kDepthMultiple = 8,
                         kMostRows = kVectorRegisters == 32 ? 14
                                     : kVectorBytes == 32   ? 6
                                                            : 4;
    static constexpr int kGroupBytes = 4;

    template <int H, int V>
    static void tile(const std::byte* a, std::int64_t ld, const std::byte* b, std::int64_t k, std::int32_t* sums) {
        constexpr int kPointers = (H + 2) / 3;  // each serves rows at 0, ld and 2·ld: what x86 can address
        const std::byte* rows[kPointers];
        unroll<kPointers>([&](auto g) THEW_FLAT {
            rows[g] = a + 3 * g * ld;
            THEW_PIN_POINTER(rows[g]);
        });
        Sums acc[H][V];
        unroll<H * V>([&](auto n) THEW_FLAT { acc[n / V][n % V] = Sums{}; });
        auto step = [&](auto u) THEW_FLAT {
            Sums w[V];
            unroll<V>([&](auto v) THEW_FLAT {
                w[v] = read_as<Sums>(b + (u * V + v) * kVectorBytes);
                THEW_PIN(w[v]);
            });
            unroll<H>([&](auto i) THEW_FLAT {
                const Sums x = splat(read_as<std::int32_t>(rows[i / 3] + (i % 3) * ld + u * kGroupBytes));
                unroll<V>([&](auto v) THEW_FLAT {
                    acc[i][v] = Dot::add(acc[i][v], x, w[v]);
                    THEW_PIN(acc[i][v]);
                });
            });
        };
        for (; k > 0; k -= kDepthMultiple) {
            constexpr int kSteps = kDepthMultiple / kGroup;
            unroll<kSteps>(step);
            unroll<kPointers>([&](auto g) THEW_FLAT {
                rows[g] += kSteps * kGroupBytes;
                THEW_PIN_POINTER(rows[g]);
            });
            b += kSteps * V * kVectorBytes;
        }
        store_sums(acc, sums);
    }

    // Σ of a row's packed elements.
    static THEW_INLINE std::int32_t sum(const A* row, std::int64_t k) {
        if constexpr (sizeof(A) == 2) return 0;  // zero points are out already
        const Sums ones = (Sums)(Vec<std::int8_t>{} + std::int8_t{1});
        Sums total{};
        std::int64_t at = 0;
        for (; at + kLanes<A> <= k; at += kLanes<A>) total = Dot::add(total, (Sums)load(row + at), ones);
        if (at < k) total = Dot::add(total, (Sums)load_partial(row + at, static_cast<int>(k - at)), ones);
        return sum_lanes(total);
    }
};

#else

struct ByElement : EvenTiles<ByElement> {
    using A = std::int16_t;
    static constexpr int kGroup = 1, kDepthMultiple = 8, kMostRows = 8;

    template <int H, int V>
    static void tile(const std::byte* a, std::int64_t ld, const std::byte* b, std::int64_t k, std::int32_t* sums) {
        static_assert(V <= 2);
        int32x4_t acc[H][V];
        unroll<H * V>([&](auto n) THEW_FLAT { acc[n / V][n % V] = vdupq_n_s32(0); });
        for (; k > 0; k -= 8, a += 16) {
            int16x8_t x[H];
            unroll<H>([&](auto i) THEW_FLAT { x[i] = read_as<int16x8_t>(a + i * ld); });
            unroll<8>([&](auto u) THEW_FLAT {
                int16x4_t w[V];
                unroll<V>([&](auto v) THEW_FLAT { w[v] = read_as<int16x4_t>(b + (u * V + v) * 8); });
                unroll<H * V>([&](auto n) THEW_FLAT {
                    acc[n / V][n % V] = vmlal_laneq_s16(acc[n / V][n % V], w[n % V], x[n / V], u);
                });
            });
            b += 8 * V * 8;
        }
        unroll<H * V>([&](auto n) THEW_FLAT { vst1q_s32(sums + n * 4, acc[n / V][n % V]); });
    }

    static THEW_INLINE std::int32_t sum(const A*, std::int64_t) { return 0; }  // zero points are out already
};

#if defined(__ARM_FEATURE_DOTPROD)

// Σ of a row's packed elements.
THEW_INLINE std::int32_t sum_bytes(const std::int8_t* row, std::int64_t k) {
    int32x4_t total = vdupq_n_s32(0);
    std::int64_t at = 0;
    for (; at + 16 <= k; at += 16) total = vdotq_s32(total, vld1q_s8(row + at), vdupq_n_s8(1));
    std::int32_t result = vaddvq_s32(total);
    for (; at < k; ++at) result += row[at];
    return result;
}

struct ByGroup : EvenTiles<ByGroup> {
    using A = std::int8_t;
    static constexpr int kGroup = 4, kDepthMultiple = 16, kMostRows = 8;

    template <int H, int V>
    static void tile(const std::byte* a, std::int64_t ld, const std::byte* b, std::int64_t k, std::int32_t* sums) {
        int32x4_t acc[H][V];
        unroll<H * V>([&](auto n) THEW_FLAT { acc[n / V][n % V] = vdupq_n_s32(0); });
        for (; k > 0; k -= 16, a += 16) {
            int8x16_t x[H];
            unroll<H>([&](auto i) THEW_FLAT { x[i] = read_as<int8x16_t>(a + i * ld); });
            unroll<4>([&](auto g) THEW_FLAT {
                int8x16_t w[V];
                unroll<V>([&](auto v) THEW_FLAT { w[v] = read_as<int8x16_t>(b + (g * V + v) * 16); });
                unroll<H * V>([&](auto n) THEW_FLAT {
                    acc[n / V][n % V] = vdotq_laneq_s32(acc[n / V][n % V], w[n % V], x[n / V], g);
                });
            });
            b += 4 * V * 16;
        }
        unroll<H * V>([&](auto n) THEW_FLAT { vst1q_s32(sums + n * 4, acc[n / V][n % V]); });
    }

    static THEW_INLINE std::int32_t sum(const A* row, std::int64_t k) { return sum_bytes(row, k); }
};

#endif
#if defined(__ARM_FEATURE_MATMUL_INT8)

struct ByPair : EvenTiles<ByPair> {
    using A = std::int8_t;
    static constexpr int kGroup = 8, kDepthMultiple = 16, kMostRows = 8;

    template <int H, int V>
    static void tile(const std::byte* a, std::int64_t ld, const std::byte* b, std::int64_t k, std::int32_t* sums) {
        constexpr int P = (H + 1) / 2;  // pairs of rows; an odd last row is its own partner
        int32x4_t acc[P][2 * V];
        unroll<P * 2 * V>([&](auto n) THEW_FLAT { acc[n / (2 * V)][n % (2 * V)] = vdupq_n_s32(0); });
        for (; k > 0; k -= 16, a += 16) {
            int8x16_t x[2][P];
            unroll<P>([&](auto p) THEW_FLAT {
                const auto upper = read_as<int64x2_t>(a + 2 * p * ld);
                const auto lower = read_as<int64x2_t>(a + (2 * p + 1 < H ? 2 * p + 1 : 2 * p) * ld);
                x[0][p] = vreinterpretq_s8_s64(vzip1q_s64(upper, lower));
                x[1][p] = vreinterpretq_s8_s64(vzip2q_s64(upper, lower));
            });
            unroll<4 * V>([&](auto n) THEW_FLAT {
                const auto w = read_as<int8x16_t>(b + n * 16);
                constexpr int half = n / (2 * V), column = n % (2 * V);
                unroll<P>([&](auto p) THEW_FLAT { acc[p][column] = vmmlaq_s32(acc[p][column], x[half][p], w); });
            });
            b += 4 * V * 16;
        }
        unroll<P * 2 * V>([&](auto n) THEW_FLAT {
            constexpr int p = n / (2 * V), column = n % (2 * V);
            vst1_s32(sums + (2 * p * 2 * V + column) * 2, vget_low_s32(acc[p][column]));
            if constexpr (2 * p + 1 < H) {
                vst1_s32(sums + ((2 * p + 1) * 2 * V + column) * 2, vget_high_s32(acc[p][column]));
            }
        });
    }

    static THEW_INLINE std::int32_t sum(const A* row, std::int64_t k) { return sum_bytes(row, k); }
};

#endif
#endif

}  // namespace
}  // namespace thew

#if defined(__AMX_INT8__)
#include "kernels/integer/tile_amx.hpp"
#endif

namespace thew {
namespace {

#if defined(__AMX_INT8__)
using ChosenMultiply = ByTile;
#elif defined(__AVX512VNNI__) || defined(__AVXVNNI__)
using ChosenMultiply = BroadcastGroups<DotOfQuads>;
#elif defined(__x86_64__)
using ChosenMultiply = BroadcastGroups<DotOfPairs>;
#elif defined(__ARM_FEATURE_MATMUL_INT8)
using ChosenMultiply = ByPair;
#elif defined(__ARM_FEATURE_DOTPROD)
using ChosenMultiply = ByGroup;
#else
using ChosenMultiply = ByElement;
#endif

inline constexpr int kTileVectors = 2, kTileColumns = kTileVectors * kLanes<std::int32_t>;

struct IntegerTiles {
    IntegerTile kernels[ChosenMultiply::kMostRows][kTileVectors];  // [rows - 1][vectors - 1]

    constexpr IntegerTiles() : kernels() {
        fill(std::make_integer_sequence<int, ChosenMultiply::kMostRows * kTileVectors>{});
    }

private:
    template <int... I>
    constexpr void fill(std::integer_sequence<int, I...>) {
        ((kernels[I / kTileVectors][I % kTileVectors] =
              ChosenMultiply::template tile<I / kTileVectors + 1, I % kTileVectors + 1>),
         ...);
    }
};

}  // namespace
}  // namespace thew
