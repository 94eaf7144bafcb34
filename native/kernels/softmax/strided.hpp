// The two loops of softmax. `along` the axis: a line is copied to a buffer that is padded with -infinity to full
// vectors, and worked on there. `across`: neighbouring lines in the lanes of a vector, three passes over memory.
#pragma once

#include "kernels/softmax/contract.hpp"
#include "simd/half.hpp"
#include "simd/math.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

template <class T>
inline constexpr T kNegativeInfinity = -static_cast<T>(__builtin_inf());

template <class T>
std::int64_t padded_length(std::int64_t length) {
    constexpr std::int64_t unit = 4 * kLanes<T>;
    return (length + unit - 1) / unit * unit;
}

// Copies the line, pads it, and returns its largest element in all lanes.
template <class S, class T = Wide<S>>
Vec<T> gather_line(const SoftmaxArgs& args, const S* x, T* line) {
    constexpr int lanes = kLanes<T>;
    const std::int64_t length = args.length, padded = padded_length<T>(length);
    std::int64_t i = 0;
    if (args.x_stride == 1) {
        for (; i + lanes <= length; i += lanes) store(line + i, load_widened(x + i));
    }
    for (; i < length; ++i) line[i] = wide_of(x[i * args.x_stride]);
    for (; i < padded; ++i) line[i] = kNegativeInfinity<T>;
    Vec<T> largest[4];
    unroll<4>([&](auto k) THEW_FLAT { largest[k] = splat(kNegativeInfinity<T>); });
    for (i = 0; i < padded; i += 4 * lanes) {
        unroll<4>([&](auto k) THEW_FLAT { largest[k] = maximum(largest[k], load(line + i + k * lanes)); });
    }
    const Vec<T> all = maximum(maximum(largest[0], largest[1]), maximum(largest[2], largest[3]));
    T result = all[0];
    for (int lane = 1; lane < lanes; ++lane) result = maximum(result, static_cast<T>(all[lane]));
    return splat(result);
}

template <class S, bool kLogarithm, class T = Wide<S>>
__attribute__((noinline)) void softmax_along(const SoftmaxArgs& args, const S* x, S* y, T* line) {
    constexpr int lanes = kLanes<T>;
    const std::int64_t length = args.length, padded = padded_length<T>(length);
    const Vec<T> largest = gather_line<S>(args, x, line);
    Vec<T> sums[4]{};
    for (std::int64_t i = 0; i < padded; i += 4 * lanes) {
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) {
            T* at = line + i + k * lanes;
            const Vec<T> shifted = load(at) - largest, power = exp<T>(shifted);
            sums[k] += power;
            store(at, kLogarithm ? shifted : power);
        }
    }
    const Vec<T> all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    T sum = all[0];
    for (int lane = 1; lane < lanes; ++lane) sum += all[lane];
    const Vec<T> last = kLogarithm ? log<T>(splat(sum)) : T{1} / splat(sum);
    std::int64_t i = 0;
    if (args.y_stride == 1) {
        for (; i + lanes <= length; i += lanes) {
            const Vec<T> value = load(line + i);
            store_narrowed(y + i, kLogarithm ? value - last : value * last);
        }
    }
    for (; i < length; ++i) y[i * args.y_stride] = narrow_to<S>(kLogarithm ? line[i] - last[0] : line[i] * last[0]);
}

// N vectors of neighbouring lines; the last has `lanes` of its lanes. Powers wait in y for their sum, save where y
// would round them: there they are taken again.
template <class S, bool kLogarithm, int N, class T = Wide<S>>
__attribute__((noinline)) void softmax_across(const SoftmaxArgs& args, const S* x, S* y, int lanes) {
    constexpr bool kWaits = !kLogarithm && std::is_same_v<S, T>;
    auto get = [&](const S* from, int k) THEW_FLAT {
        from += k * kLanes<T>;
        return k == N - 1 && lanes < kLanes<T> ? load_widened_partial(from, lanes) : load_widened(from);
    };
    auto put = [&](S* to, int k, Vec<T> value) THEW_FLAT {
        if (k == N - 1 && lanes < kLanes<T>) return store_narrowed_partial(to + k * kLanes<T>, value, lanes);
        store_narrowed(to + k * kLanes<T>, value);
    };
    Vec<T> largest[N], sums[N];
    unroll<N>([&](auto k) THEW_FLAT {
        largest[k] = splat(kNegativeInfinity<T>);
        sums[k] = Vec<T>{};
    });
    for (std::int64_t i = 0; i < args.length; ++i) {
        unroll<N>([&](auto k) THEW_FLAT { largest[k] = maximum(largest[k], get(x + i * args.x_stride, k)); });
    }
    for (std::int64_t i = 0; i < args.length; ++i) {
        unroll<N>([&](auto k) THEW_FLAT {
            const Vec<T> power = exp<T>(get(x + i * args.x_stride, k) - largest[k]);
            sums[k] += power;
            if constexpr (kWaits) put(y + i * args.y_stride, k, power);
        });
    }
    unroll<N>([&](auto k) THEW_FLAT { sums[k] = kLogarithm ? log<T>(sums[k]) : T{1} / sums[k]; });
    for (std::int64_t i = 0; i < args.length; ++i) {
        unroll<N>([&](auto k) THEW_FLAT {
            S* to = y + i * args.y_stride;
            if constexpr (kWaits) {
                put(to, k, get(to, k) * sums[k]);
            } else {
                const Vec<T> shifted = get(x + i * args.x_stride, k) - largest[k];
                put(to, k, kLogarithm ? shifted - sums[k] : exp<T>(shifted) * sums[k]);
            }
        });
    }
}

// Lines as neighbours: where the axis itself is not the adjacent one, and there are enough of them.
template <class T>
bool runs_across(const SoftmaxArgs& args) {
    const int last = args.others.rank - 1;
    if (last < 0 || args.others.stride[0][last] != 1 || args.others.stride[1][last] != 1) return false;
    return args.x_stride != 1 && args.others.extent[last] * 2 >= kLanes<T>;
}

template <class S, bool kLogarithm>
void run_softmax(const SoftmaxArgs& args, const S* x, S* y, const Workers& workers, std::byte* scratch) {
    using T = Wide<S>;
    const bool across = runs_across<T>(args);
    Axes outer = args.others;
    std::int64_t neighbours = 1;
    if (across) neighbours = outer.extent[--outer.rank];
    const std::int64_t width = across ? 2 * kLanes<T> : 1, blocks = (neighbours + width - 1) / width;
    const std::int64_t units = args.length == 0 || neighbours == 0 ? 0 : args.others.count / neighbours * blocks;
    const std::int64_t work = args.length * width, group = work >= 2048 || work == 0 ? 1 : 2048 / work;
    const std::int64_t line_bytes = padded_length<T>(args.length) * static_cast<std::int64_t>(sizeof(T));
    auto body = [&](std::int64_t item, int worker) {
        for (std::int64_t unit = item * group; unit < units && unit < (item + 1) * group; ++unit) {
            const Offsets at = offsets_at(outer, unit / blocks);
            if (!across) {
                T* line = reinterpret_cast<T*>(scratch + worker * line_bytes);
                softmax_along<S, kLogarithm>(args, x + at.of[0], y + at.of[1], line);
                continue;
            }
            const std::int64_t first = unit % blocks * width, left = neighbours - first;
            const S* from = x + at.of[0] + first;
            S* to = y + at.of[1] + first;
            const int lanes = static_cast<int>(left < width ? left : width);
            if (lanes > kLanes<T>) {
                softmax_across<S, kLogarithm, 2>(args, from, to, lanes - kLanes<T>);
            } else {
                softmax_across<S, kLogarithm, 1>(args, from, to, lanes);
            }
        }
    };
    parallel_for(workers, (units + group - 1) / group, body);
}

}  // namespace
}  // namespace thew
