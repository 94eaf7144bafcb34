// The line kernels of the normalisations: apply a normalisation, sum terms.
#pragma once

#include "kernels/norm/contract.hpp"
#include "simd/half.hpp"
#include "simd/math.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

// Mean, 1/√(variance + epsilon), scale and bias: one for a whole line, or one an element.
template <class T>
struct Normal {
    const T *mean, *inverse, *scale, *bias;
};

template <class S>
struct LineViews {  // S is the type in memory, Wide<S> the one computed in
    const S* x;
    std::int64_t x_stride;
    S* y;
    std::int64_t y_stride, count;
};

// y = (x - mean)·inverse·scale + bias; `kStatistics`, `kAffine`: whether those pairs have one an element.
template <class S, bool kStatistics, bool kAffine, class T = Wide<S>>
__attribute__((noinline)) void normalise_line(const LineViews<S>& line, const Normal<T>& by) {
    auto one = [&](T x, std::int64_t i) THEW_FLAT {
        const std::int64_t s = kStatistics ? i : 0, a = kAffine ? i : 0;
        return (x - by.mean[s]) * by.inverse[s] * by.scale[a] + by.bias[a];
    };
    std::int64_t i = 0;
    if (line.x_stride == 1 && line.y_stride == 1) {
        auto get = [](const T* from, std::int64_t at, bool each)
                       THEW_FLAT { return each ? load(from + at) : splat(*from); };
        for (; i + kLanes<T> <= line.count; i += kLanes<T>) {
            const Vec<T> centred = load_widened(line.x + i) - get(by.mean, i, kStatistics);
            store_narrowed(line.y + i, centred * get(by.inverse, i, kStatistics) * get(by.scale, i, kAffine) +
                                           get(by.bias, i, kAffine));
        }
    }
    for (; i < line.count; ++i) line.y[i * line.y_stride] = narrow_to<S>(one(wide_of(line.x[i * line.x_stride]), i));
}

// Σ x, or with kSquared Σ (x - mean)², along a line.
template <class S, bool kSquared, class T = Wide<S>>
__attribute__((noinline)) double sum_line(const S* x, std::int64_t stride, std::int64_t count, T mean) {
    constexpr int lanes = kLanes<T>;
    double total = 0;
    std::int64_t i = 0;
    while (stride == 1 && i + 4 * lanes <= count) {
        const std::int64_t most = i + kNormBlock * 4 * lanes, end = most < count ? most : count;
        Vec<T> sums[4]{};
        for (; i + 4 * lanes <= end; i += 4 * lanes) {
            unroll<4>([&](auto k) THEW_FLAT {
                const Vec<T> value = load_widened(x + i + k * lanes), centred = value - mean;
                sums[k] += kSquared ? centred * centred : value;
            });
        }
        const Vec<T> sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        for (int lane = 0; lane < lanes; ++lane) total += static_cast<double>(sum[lane]);
    }
    for (; i < count; ++i) {
        const double value = static_cast<double>(wide_of(x[i * stride]));
        const double centred = value - static_cast<double>(mean);
        total += kSquared ? centred * centred : value;
    }
    return total;
}

// The same for `channels` neighbouring channels over all positions, added to totals[channel].
template <class S, bool kSquared, class T = Wide<S>>
__attribute__((noinline)) void sum_channels(const Axes& positions, const S* x, std::int64_t channels, const T* mean,
                                            double* totals) {
    constexpr int lanes = kLanes<T>;
    std::int64_t c = 0;
    for (; c + lanes <= channels; c += lanes) {
        Vec<T> centre{};
        if constexpr (kSquared) centre = load(mean + c);
        for (std::int64_t first = 0; first < positions.count; first += kNormBlock) {
            const std::int64_t most = first + kNormBlock, end = most < positions.count ? most : positions.count;
            Vec<T> sum{};
            for (std::int64_t at = first; at < end; ++at) {
                const Vec<T> value = load_widened(x + offsets_at(positions, at).of[0] + c) - centre;
                sum += kSquared ? value * value : value;
            }
            for (int lane = 0; lane < lanes; ++lane) totals[c + lane] += static_cast<double>(sum[lane]);
        }
    }
    for (; c < channels; ++c) {
        const double centre = kSquared ? static_cast<double>(mean[c]) : 0.0;
        for (std::int64_t at = 0; at < positions.count; ++at) {
            const double value = static_cast<double>(wide_of(x[offsets_at(positions, at).of[0] + c])) - centre;
            totals[c] += kSquared ? value * value : value;
        }
    }
}

}  // namespace
}  // namespace thew
