// The loops of the gradient of depthwise weights: for every row of dy and vector of channels, up to kMostTaps taps of a
// row of the window gather their sums in registers while the row passes; between rows sums wait in the first-level
// cache. Workers share out channels.
#pragma once

#include "kernels/depthwise/gradient.hpp"
#include "simd/half.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

template <class Memory>
class DepthwiseGradient {
    using T = Wide<Memory>;
    static constexpr int L = kLanes<T>, kMostTaps = 5;
    const DepthwiseGradArgs& args_;
    T* sums_;

    template <bool kWhole>
    static THEW_INLINE Vec<T> get(const Memory* from, int lanes) {
        return kWhole ? load_widened(from) : load_widened_partial(from, lanes);
    }

    // Taps [k0, k0 + K) of a row of the window; `x` is the row of the image that they read, from its first column on.
    template <int K, bool kWhole>
    void taps(const Memory* dy, const Memory* x, std::int64_t k0, int lanes, T* sums) const {
        const std::int64_t stride = args_.stride_w, x_step = stride * args_.x_w, tap = args_.dilation_w * args_.x_w;
        const std::int64_t before = args_.pad_left - k0 * args_.dilation_w;  // columns left of the image at ox = 0
        const std::int64_t room = args_.w - 1 + before - (K - 1) * args_.dilation_w;
        std::int64_t first = before > 0 ? (before + stride - 1) / stride : 0, last = room < 0 ? 0 : room / stride + 1;
        if (last > args_.ow) last = args_.ow;
        if (last <= first) first = last = 0;
        Vec<T> acc[K];
        unroll<K>([&](auto k) THEW_FLAT { acc[k] = load(sums + k * args_.padded_c); });
        const auto edge = [&](std::int64_t ox) {
            const Vec<T> given = get<kWhole>(dy + ox * args_.dy_w, lanes);
            unroll<K>([&](auto k) THEW_FLAT {
                const std::int64_t column = ox * stride - before + k * args_.dilation_w;
                if (column >= 0 && column < args_.w) acc[k] += given * get<kWhole>(x + column * args_.x_w, lanes);
            });
        };
        for (std::int64_t ox = 0; ox < first; ++ox) edge(ox);
        const Memory *from = x + (first * stride - before) * args_.x_w, *given = dy + first * args_.dy_w;
        for (std::int64_t ox = first; ox < last; ++ox, from += x_step, given += args_.dy_w) {
            const Vec<T> value = get<kWhole>(given, lanes);
            unroll<K>([&](auto k) THEW_FLAT { acc[k] += value * get<kWhole>(from + k * tap, lanes); });
        }
        for (std::int64_t ox = last; ox < args_.ow; ++ox) edge(ox);
        unroll<K>([&](auto k) THEW_FLAT { store(sums + k * args_.padded_c, acc[k]); });
    }

    template <bool kWhole>
    void row(const Memory* dy, const Memory* x, int lanes, T* sums) const {
        for (std::int64_t k = 0; k < args_.kw; k += kMostTaps, sums += kMostTaps * args_.padded_c) {
            switch (args_.kw - k) {
                case 1: taps<1, kWhole>(dy, x, k, lanes, sums); break;
                case 2: taps<2, kWhole>(dy, x, k, lanes, sums); break;
                case 3: taps<3, kWhole>(dy, x, k, lanes, sums); break;
                case 4: taps<4, kWhole>(dy, x, k, lanes, sums); break;
                default: taps<kMostTaps, kWhole>(dy, x, k, lanes, sums);
            }
        }
    }

public:
    DepthwiseGradient(const DepthwiseGradArgs& args, std::byte* sums)
        : args_(args), sums_(reinterpret_cast<T*>(sums)) {}

    // Channels [first, last); first is a multiple of a vector.
    void channels(const Memory* dy, const Memory* x, Memory* dw, std::int64_t first, std::int64_t last) const {
        const std::int64_t count = args_.kh * args_.kw;
        for (std::int64_t tap = 0; tap < count; ++tap) {
            for (std::int64_t c = first; c < last; c += L) store(sums_ + tap * args_.padded_c + c, Vec<T>{});
        }
        for (std::int64_t at = 0; at < args_.n * args_.oh; ++at) {
            const std::int64_t n = at / args_.oh, oy = at % args_.oh, top = oy * args_.stride_h - args_.pad_top;
            const Memory *given = dy + n * args_.dy_n + oy * args_.dy_h, *image = x + n * args_.x_n;
            for (std::int64_t c = first; c < last; c += L) {
                const int lanes = static_cast<int>(last - c < L ? last - c : L);
                for (std::int64_t ky = 0; ky < args_.kh; ++ky) {
                    const std::int64_t h = top + ky * args_.dilation_h;
                    if (h < 0 || h >= args_.h) continue;
                    T* sums = sums_ + ky * args_.kw * args_.padded_c + c;
                    const Memory* from = image + h * args_.x_h + c;
                    lanes == L ? row<true>(given + c, from, lanes, sums) : row<false>(given + c, from, lanes, sums);
                }
            }
        }
        for (std::int64_t tap = 0; tap < count; ++tap) {
            Memory* to = dw + tap / args_.kw * args_.dw_h + tap % args_.kw * args_.dw_w;
            const T* from = sums_ + tap * args_.padded_c;
            for (std::int64_t c = first; c < last; ++c) to[c * args_.dw_c] = narrow_to<Memory>(from[c]);
        }
    }
};

template <class Memory>
void run_depthwise_gradient(const DepthwiseGradArgs& args, const void* dy, const void* x, void* dw,
                            const Workers& workers, std::byte* sums) {
    constexpr std::int64_t L = kLanes<Wide<Memory>>;
    const DepthwiseGradient<Memory> gradient(args, sums);
    const std::int64_t vectors = (args.c + L - 1) / L, wanted = workers.count == 1 ? 1 : 4 * workers.count;
    const std::int64_t block = (vectors + wanted - 1) / wanted * L;
    auto body = [&](std::int64_t task, int) {
        const std::int64_t first = task * block, last = first + block < args.c ? first + block : args.c;
        gradient.channels(static_cast<const Memory*>(dy), static_cast<const Memory*>(x), static_cast<Memory*>(dw),
                          first, last);
    };
    parallel_for(workers, (args.c + block - 1) / block, body);
}

}  // namespace
}  // namespace thew
