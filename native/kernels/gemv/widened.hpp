// int8 weights, widened to fp32 as they are read: M rows by G panels of a register's bytes, k outside.
#pragma once

#include "kernels/gemv/panels.hpp"

namespace thew {
namespace {

inline constexpr int kWidenedVectors = 4;                            // of floats from a vector of bytes
inline constexpr int kWidenedRows = kVectorRegisters == 32 ? 4 : 1;  // few registers: gcc would keep sums in memory
inline constexpr std::int64_t kWidenedPanel = kVectorBytes;

// Calls take(i, vector i) for each; one after the other, since few registers hold few at once.
template <class Take>
THEW_INLINE void widen_bytes(const std::int8_t* from, const Take& take) {
#if defined(__aarch64__)
    const int8x16_t bytes = vld1q_s8(from);
    const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
    take(Constant<0>{}, (Vec<float>)vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))));
    take(Constant<1>{}, (Vec<float>)vcvtq_f32_s32(vmovl_high_s16(low)));
    take(Constant<2>{}, (Vec<float>)vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))));
    take(Constant<3>{}, (Vec<float>)vcvtq_f32_s32(vmovl_high_s16(high)));
#else
    unroll<kWidenedVectors>([&](auto i) THEW_FLAT {
        const std::int8_t* at = from + i * kLanes<float>;
#if defined(__AVX512F__)  // masked: the plain form trips gcc 12, PR 105593
        const __m512i whole = _mm512_maskz_cvtepi8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
#elif defined(__AVX2__)
        const __m256i whole = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
#else
        const __m128i whole = _mm_cvtepi8_epi32(_mm_loadu_si32(at));
#endif
        take(i, __builtin_convertvector((Vec<std::int32_t>)whole, Vec<float>));
    });
#endif
}

struct Widened {
    static constexpr int kRows = kWidenedRows, kTogether = 2;  // panels, of one row: as many chains as hide latency
    static constexpr std::int64_t kPanel = kWidenedPanel;

    template <int M, int G>
    static void add(const PackedGemv& gemv, const float* a, std::int64_t panel, float* y, std::int64_t columns) {
        const std::int8_t* b = static_cast<const std::int8_t*>(gemv.weights) + panel * gemv.k * kPanel;
        Vec<float> acc[M][G * kWidenedVectors];
        clear<M, G * kWidenedVectors>(acc);
        for (std::int64_t k = 0; k < gemv.k; ++k, b += kPanel) {
            Vec<float> factor[M];
            unroll<M>([&](auto m) THEW_FLAT { factor[m] = splat(a[m * gemv.a_m + k]); });
            unroll<G>([&](auto g) THEW_FLAT {
                widen_bytes(b + g * gemv.k * kPanel, [&](auto i, Vec<float> wide) THEW_FLAT {
                    unroll<M>([&](auto m) THEW_FLAT {
                        auto& sum = acc[m][g * kWidenedVectors + i];
                        sum = wide * factor[m] + sum;
                    });
                });
            });
        }
        store_sums<M, G * kWidenedVectors>(gemv, acc, y, columns);
    }
};

}  // namespace
}  // namespace thew
