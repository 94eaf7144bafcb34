// The two loops of softmax. `along` the axis: a line is copied to a buffer that is padded with -infinity to full
// vectors, and worked on there. `across`: neighbouring lines in the lanes of a vector, three passes over memory.
#pragma once

#include "kernels/softmax/contract.hpp"
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
template <class T>
Vec<T> gather_line(const SoftmaxArgs& args, const T* x, T* line) {
    constexpr int lanes = kLanes<T>;
    const std::int64_t length = args.length, padded = padded_length<T>(length);
    std::int64_t i = 0;
    if (args.x_stride == 1) {
        for (; i + lanes <= length; i += lanes) store(line + i, load(x + i));
    }
    for (; i < length; ++i) line[i] = x[i * args.x_stride];
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

template <class T, bool kLogarithm>
__attribute__((noinline)) void softmax_along(const SoftmaxArgs& args, const T* x, T* y, T* line) {
    constexpr int lanes = kLanes<T>;
    const std::int64_t length = args.length, padded = padded_length<T>(length);
    const Vec<T> largest = gather_line(args, x, line);
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
            store(y + i, kLogarithm ? value - last : value * last);
        }
    }
    for (; i < length; ++i) y[i * args.y_stride] = kLogarithm ? line[i] - last[0] : line[i] * last[0];
}

// N vectors of neighbouring lines; the last has `lanes` of its lanes.
template <class T, bool kLogarithm, int N>
__attribute__((noinline)) void softmax_across(const SoftmaxArgs& args, const T* x, T* y, int lanes) {
    auto get = [&](const T* from, int k) THEW_FLAT {
        return k == N - 1 && lanes < kLanes<T> ? load_partial(from + k * kLanes<T>, lanes) : load(from + k * kLanes<T>);
    };
    auto put = [&](T* to, int k, Vec<T> value) THEW_FLAT {
        if (k == N - 1 && lanes < kLanes<T>) return store_partial(to + k * kLanes<T>, value, lanes);
        store(to + k * kLanes<T>, value);
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
            if constexpr (!kLogarithm) put(y + i * args.y_stride, k, power);
        });
    }
    unroll<N>([&](auto k) THEW_FLAT { sums[k] = kLogarithm ? log<T>(sums[k]) : T{1} / sums[k]; });
    for (std::int64_t i = 0; i < args.length; ++i) {
        unroll<N>([&](auto k) THEW_FLAT {
            T* to = y + i * args.y_stride;
            if constexpr (kLogarithm) {
                put(to, k, get(x + i * args.x_stride, k) - largest[k] - sums[k]);
            } else {
                put(to, k, get(to, k) * sums[k]);
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

template <class T, bool kLogarithm>
void run_softmax(const SoftmaxArgs& args, const T* x, T* y, const Workers& workers, std::byte* scratch) {
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
                softmax_along<T, kLogarithm>(args, x + at.of[0], y + at.of[1], line);
                continue;
            }
            const std::int64_t first = unit % blocks * width, left = neighbours - first;
            const T* from = x + at.of[0] + first;
            T* to = y + at.of[1] + first;
            const int lanes = static_cast<int>(left < width ? left : width);
            if (lanes > kLanes<T>) {
                softmax_across<T, kLogarithm, 2>(args, from, to, lanes - kLanes<T>);
            } else {
                softmax_across<T, kLogarithm, 1>(args, from, to, lanes);
            }
        }
    };
    parallel_for(workers, (units + group - 1) / group, body);
}

}  // namespace
}  // namespace thew
