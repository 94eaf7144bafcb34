// Weights of which a column keeps N of every four: each lane takes the element of a that goes with its weight, by a
// shuffle whose indices are 2 bits a lane.
#pragma once

#include "kernels/gemv/panels.hpp"

#if defined(__AVX2__) || defined(__aarch64__)  // shuffles that take indices of words, or of bytes in any number
#define THEW_HAS_STRUCTURED

namespace thew {
namespace {

struct Structured {
    static constexpr int kVectors = kVectorRegisters == 32 ? 4 : 2;
    static constexpr std::int64_t kPanel = kVectors * kLanes<float>;
    static constexpr int kRows = kVectorRegisters == 32 ? 4 : 2, kTogether = 1;
    using Words = Vec<std::uint32_t>;

    // Four neighbours of a, in every 16 bytes.
    static THEW_INLINE Vec<float> four(const float* a) {
#if defined(__AVX512F__)
        return (Vec<float>)_mm512_maskz_broadcast_f32x4(0xffff, _mm_loadu_ps(a));
#elif defined(__AVX2__)
        return (Vec<float>)_mm256_broadcast_ps(reinterpret_cast<const __m128*>(a));
#else
        return load(a);
#endif
    }
    // In each lane that of the four which its lowest 2 bits choose.
    static THEW_INLINE Vec<float> chosen(Vec<float> of, Words by) {
#if defined(__AVX512F__)
        return (Vec<float>)_mm512_maskz_permutevar_ps(0xffff, (__m512)of, (__m512i)by);
#elif defined(__AVX2__)
        return (Vec<float>)_mm256_permutevar_ps((__m256)of, (__m256i)by);
#else
        const Words bytes = (by & 3u) * 0x04040404u + 0x03020100u;
        return (Vec<float>)vqtbl1q_u8((uint8x16_t)of, (uint8x16_t)bytes);
#endif
    }

    template <int M, int G>
    static void add(const PackedGemv& gemv, const float* a, std::int64_t panel, float* y, std::int64_t columns) {
        const std::int64_t chunk = kLongestChunk / gemv.kept;  // k that a word stands for
        const std::int64_t chunks = (gemv.k + chunk - 1) / chunk;
        const std::uint32_t* places = gemv.places + panel * chunks * kPanel;
        const float* b = static_cast<const float*>(gemv.weights) + panel * chunks * kChoicesAWord * kPanel;
        Vec<float> acc[M][kVectors];
        clear<M, kVectors>(acc);
        float last[M][kLongestChunk];
        const float* from[M];
        unroll<M>([&](auto m) THEW_FLAT { from[m] = a + m * gemv.a_m; });
        for (std::int64_t k = 0; k < gemv.k; k += chunk, places += kPanel) {
            if (gemv.k - k < chunk) {  // beyond a's end weights are 0, but what they are multiplied by must be finite
                unroll<M>([&](auto m) THEW_FLAT {
                    for (std::int64_t i = 0; i < chunk; ++i) last[m][i] = i < gemv.k - k ? from[m][i] : 0.0f;
                    from[m] = last[m];
                });
            }
            Words which[kVectors];
            unroll<kVectors>([&](auto v) THEW_FLAT { which[v] = load(places + v * kLanes<float>); });
            for (std::int64_t i = 0; i < chunk; i += kChoices) {
                Vec<float> left[M];
                unroll<M>([&](auto m) THEW_FLAT { left[m] = four(from[m] + i); });
                for (int kept = 0; kept < gemv.kept; ++kept, b += kPanel) {
                    unroll<kVectors>([&](auto v) THEW_FLAT {
                        const Vec<float> row = load(b + v * kLanes<float>);
                        unroll<M>([&](auto m) THEW_FLAT { acc[m][v] = row * chosen(left[m], which[v]) + acc[m][v]; });
                        which[v] = which[v] >> 2;
                    });
                }
            }
            unroll<M>([&](auto m) THEW_FLAT { from[m] += chunk; });
        }
        store_sums<M, kVectors>(gemv, acc, y, columns);
    }
};

}  // namespace
}  // namespace thew
#endif
