// Local response normalisation (Krizhevsky et al. 2012, section 3.3). Squares of all channels of a vector of pixels, or
// of one pixel, are copied to a buffer with a window of zeros at both ends; window sums are then free of tests, and y
// may be x.
#pragma once

#include "kernels/norm/contract.hpp"
#include "simd/half.hpp"
#include "simd/math.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

struct LrnWindow {
    std::int64_t before, after;
};

inline LrnWindow lrn_window(const NormArgs& args) {  // no wider than the channels
    const std::int64_t before = (args.size - 1) / 2, after = args.size / 2;
    return {before < args.length ? before : args.length, after < args.length ? after : args.length};
}

// Elements of the buffer: `width` pixels wide, and a vector more for what reads of full vectors may overrun.
template <class T>
std::int64_t lrn_buffer(const NormArgs& args, std::int64_t width) {
    const LrnWindow window = lrn_window(args);
    return (window.before + args.length + window.after) * width + kLanes<T>;
}

// base^-beta. For the usual 3/4 by square roots, which is exact to 2 ulp; else exp(-beta log base).
template <class T>
THEW_INLINE Vec<T> inverse_power(Vec<T> base, double beta) {
    if (beta == 0.75) {
        const Vec<T> root = square_root<T>(base);
        return T{1} / (root * square_root<T>(root));
    }
    return exp<T>(log<T>(base) * static_cast<T>(-beta));
}

template <class T>
THEW_INLINE Vec<T> lrn_value(const NormArgs& args, Vec<T> x, Vec<T> squares) {
    const T rate = static_cast<T>(args.alpha / static_cast<double>(args.size));
    return x * inverse_power<T>(squares * rate + static_cast<T>(args.bias), args.beta);
}

// One pixel, channels along the line; buffer as lrn_buffer(args, 1).
template <class S, class T = Wide<S>>
void lrn_pixel(const NormArgs& args, const S* x, S* y, T* buffer) {
    const LrnWindow window = lrn_window(args);
    const std::int64_t total = lrn_buffer<T>(args, 1), width = window.before + window.after;
    for (std::int64_t i = 0; i < total; ++i) buffer[i] = T{0};
    for (std::int64_t i = 0; i < args.length; ++i) {
        const T value = wide_of(x[i * args.x_stride]);
        buffer[window.before + i] = value * value;
    }
    for (std::int64_t i = 0; i < args.length; i += kLanes<T>) {
        Vec<T> sum{};
        for (std::int64_t k = 0; k <= width; ++k) sum += load(buffer + i + k);
        T values[kLanes<T>]{};
        const std::int64_t left = args.length - i, count = left < kLanes<T> ? left : kLanes<T>;
        for (std::int64_t lane = 0; lane < count; ++lane) values[lane] = wide_of(x[(i + lane) * args.x_stride]);
        store(values, lrn_value<T>(args, load(values), sum));
        for (std::int64_t lane = 0; lane < count; ++lane) y[(i + lane) * args.y_stride] = narrow_to<S>(values[lane]);
    }
}

// `lanes` neighbouring pixels; buffer as lrn_buffer(args, kLanes<T>).
template <class S, class T = Wide<S>>
void lrn_pixels(const NormArgs& args, const S* x, S* y, int lanes, T* buffer) {
    const LrnWindow window = lrn_window(args);
    const std::int64_t total = lrn_buffer<T>(args, kLanes<T>), width = window.before + window.after;
    for (std::int64_t i = 0; i < total; ++i) buffer[i] = T{0};
    auto get = [&](std::int64_t i) THEW_FLAT {
        return lanes == kLanes<T> ? load_widened(x + i * args.x_stride)
                                  : load_widened_partial(x + i * args.x_stride, lanes);
    };
    for (std::int64_t i = 0; i < args.length; ++i) {
        const Vec<T> value = get(i);
        store(buffer + (window.before + i) * kLanes<T>, value * value);
    }
    for (std::int64_t i = 0; i < args.length; ++i) {
        Vec<T> sum{};
        for (std::int64_t k = 0; k <= width; ++k) sum += load(buffer + (i + k) * kLanes<T>);
        store_narrowed_partial(y + i * args.y_stride, lrn_value<T>(args, get(i), sum), lanes);
    }
}

// Pixels as neighbours: where the channels are not adjacent.
inline bool lrn_across(const NormArgs& args) {
    const int last = args.others.rank - 1;
    return args.x_stride != 1 && last >= 0 && args.others.stride[0][last] == 1 && args.others.stride[1][last] == 1;
}

template <class T>
std::int64_t lrn_scratch(const NormArgs& args) {  // elements a worker
    return (lrn_buffer<T>(args, lrn_across(args) ? kLanes<T> : 1) + 15) / 16 * 16;
}

template <class S, class T = Wide<S>>
void run_lrn(const NormArgs& args, const S* x, S* y, const Workers& workers, T* scratch) {
    const bool across = lrn_across(args);
    Axes outer = args.others;
    std::int64_t neighbours = 1;
    if (across) neighbours = outer.extent[--outer.rank];
    const std::int64_t width = across ? kLanes<T> : 1, blocks = (neighbours + width - 1) / width;
    const std::int64_t units = neighbours == 0 || args.length == 0 ? 0 : args.others.count / neighbours * blocks;
    const std::int64_t work = args.length * width + 1, group = work >= 4096 ? 1 : 4096 / work;
    auto body = [&](std::int64_t item, int worker) {
        T* buffer = scratch + worker * lrn_scratch<T>(args);
        for (std::int64_t unit = item * group; unit < units && unit < (item + 1) * group; ++unit) {
            const Offsets at = offsets_at(outer, unit / blocks);
            const std::int64_t first = unit % blocks * width, left = neighbours - first;
            if (across) {
                const int lanes = static_cast<int>(left < width ? left : width);
                lrn_pixels<S>(args, x + at.of[0] + first, y + at.of[1] + first, lanes, buffer);
            } else {
                lrn_pixel<S>(args, x + at.of[0], y + at.of[1], buffer);
            }
        }
    };
    parallel_for(workers, (units + group - 1) / group, body);
}

}  // namespace
}  // namespace thew
