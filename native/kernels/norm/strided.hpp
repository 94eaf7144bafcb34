// Batch, group (instance) and layer normalisation over strided views.
#pragma once

#include "kernels/norm/line.hpp"

namespace thew {
namespace {

// S is the type in memory, T = Wide<S> the one computed in.
template <class S, class T = Wide<S>>
void copy_parameter(const NormArgs& args, const NormParameters& parameters, int which, T fallback, T* to) {
    const S* from = static_cast<const S*>(parameters.data[which]);
    for (std::int64_t i = 0; i < args.length; ++i)
        to[i] = from ? wide_of(from[i * parameters.stride[which]]) : fallback;
}

template <class T>
T inverse_deviation(double variance, double epsilon) {
    return static_cast<T>(1.0 / __builtin_sqrt(variance + epsilon));
}

// Whether lines run across the special axis: it has stride 1 on both sides, or no other axis has.
inline bool runs_across(const NormArgs& args) {
    if (args.x_stride == 1 && args.y_stride == 1) return true;
    const int last = args.others.rank - 1;
    return last < 0 || args.others.stride[0][last] != 1 || args.others.stride[1][last] != 1;
}

// Normalises special indices [first, last) of the image at x, y; `by` is indexed from `first`.
template <class S, class T = Wide<S>>
void normalise_block(const NormArgs& args, const Axes& others, const S* x, S* y, std::int64_t first, std::int64_t last,
                     const Normal<T>& by) {
    x += first * args.x_stride;
    y += first * args.y_stride;
    if (runs_across(args)) {
        for (std::int64_t at = 0; at < others.count; ++at) {
            const Offsets to = offsets_at(others, at);
            normalise_line<S, true, true>({x + to.of[0], args.x_stride, y + to.of[1], args.y_stride, last - first}, by);
        }
        return;
    }
    Axes outer = others;
    const std::int64_t count = outer.extent[--outer.rank];
    const std::int64_t positions = count == 0 ? 0 : others.count / count;
    for (std::int64_t i = 0; i < last - first; ++i) {
        for (std::int64_t at = 0; at < positions; ++at) {
            const Offsets to = offsets_at(outer, at);
            normalise_line<S, false, false>(
                {x + to.of[0] + i * args.x_stride, 1, y + to.of[1] + i * args.y_stride, 1, count},
                {by.mean + i, by.inverse + i, by.scale + i, by.bias + i});
        }
    }
}

// The positions [first, last) of the outermost of the other axes, whose start is `offsets`.
inline Axes part_of(const Axes& axes, std::int64_t first, std::int64_t last, Offsets& offsets) {
    Axes part = axes;
    offsets = {{0, 0}};
    if (axes.rank == 0) return part;
    part.extent[0] = last - first;
    part.count = axes.count / axes.extent[0] * part.extent[0];
    offsets = {{first * axes.stride[0][0], first * axes.stride[1][0]}};
    return part;
}

template <class S, class T = Wide<S>>
void run_batch(const NormArgs& args, const S* x, S* y, const NormParameters& parameters, const Workers& workers,
               T* scratch) {
    T *scale = scratch, *bias = scale + args.length, *mean = bias + args.length, *inverse = mean + args.length;
    copy_parameter<S>(args, parameters, 0, T{1}, scale);
    copy_parameter<S>(args, parameters, 1, T{0}, bias);
    copy_parameter<S>(args, parameters, 2, T{0}, mean);
    copy_parameter<S>(args, parameters, 3, T{1}, inverse);
    for (std::int64_t i = 0; i < args.length; ++i) {
        inverse[i] = inverse_deviation<T>(static_cast<double>(inverse[i]), args.epsilon);
    }
    const std::int64_t extent = args.others.rank == 0 ? 1 : args.others.extent[0];
    const std::int64_t row = args.others.count == 0 ? 1 : args.others.count / extent * args.length + 1;
    const std::int64_t group = row >= 8192 ? 1 : 8192 / row;
    auto body = [&](std::int64_t item, int) {
        const std::int64_t first = item * group, last = first + group < extent ? first + group : extent;
        Offsets at;
        const Axes part = part_of(args.others, first, last, at);
        normalise_block<S>(args, part, x + at.of[0], y + at.of[1], 0, args.length, {mean, inverse, scale, bias});
    };
    if (args.others.count > 0) parallel_for(workers, (extent + group - 1) / group, body);
}

// Σ x or Σ (x - mean)² of each special index [0, count) into totals.
template <class S, bool kSquared, class T = Wide<S>>
void sum_block(const NormArgs& args, const S* x, std::int64_t count, const T* mean, double* totals) {
    for (std::int64_t i = 0; i < count; ++i) totals[i] = 0;
    if (args.x_stride == 1) return sum_channels<S, kSquared>(args.others, x, count, mean, totals);
    Axes rows = args.others;
    const int last = rows.rank - 1;
    const std::int64_t length = last < 0 ? 1 : rows.extent[last], stride = last < 0 ? 1 : rows.stride[0][last];
    rows.rank = last < 0 ? 0 : last;
    for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t at = 0; length > 0 && at < args.others.count / length; ++at) {
            const S* line = x + i * args.x_stride + offsets_at(rows, at).of[0];
            totals[i] += sum_line<S, kSquared>(line, stride, length, kSquared ? mean[i] : T{0});
        }
    }
}

// Special indices a work item of run_group takes: whole groups, and a few vectors of channels.
template <class T>
std::int64_t group_block(const NormArgs& args) {
    const std::int64_t in_group = args.length / args.groups, wanted = 4 * kLanes<T>;
    const std::int64_t block = in_group >= wanted ? in_group : (wanted + in_group - 1) / in_group * in_group;
    return block < args.length ? block : args.length;
}

template <class S, class T = Wide<S>>
void run_group(const NormArgs& args, const S* x, S* y, const NormParameters& parameters, const Workers& workers,
               T* scratch) {
    if (args.length == 0 || args.others.count == 0) return;
    T *scale = scratch, *bias = scale + args.length;
    copy_parameter<S>(args, parameters, 0, T{1}, scale);
    copy_parameter<S>(args, parameters, 1, T{0}, bias);
    const std::int64_t block = group_block<T>(args), in_group = args.length / args.groups;
    const std::int64_t blocks = (args.length + block - 1) / block;
    const double terms = static_cast<double>(in_group) * static_cast<double>(args.others.count);
    auto body = [&](std::int64_t item, int worker) {
        double* totals = reinterpret_cast<double*>(bias + args.length) + worker * 3 * block;
        T *mean = reinterpret_cast<T*>(totals + block), *inverse = mean + block;
        const std::int64_t first = item % blocks * block,
                           count = args.length - first < block ? args.length - first : block;
        const S* image = x + item / blocks * args.x_n;
        auto each_group = [&](auto set) {
            for (std::int64_t at = 0; at < count; at += in_group) {
                double total = 0;
                for (std::int64_t i = at; i < at + in_group; ++i) total += totals[i];
                for (std::int64_t i = at; i < at + in_group; ++i) set(i, total / terms);
            }
        };
        sum_block<S, false>(args, image + first * args.x_stride, count, mean, totals);
        each_group([&](std::int64_t i, double value) { mean[i] = static_cast<T>(value); });
        sum_block<S, true>(args, image + first * args.x_stride, count, mean, totals);
        each_group([&](std::int64_t i, double value) { inverse[i] = inverse_deviation<T>(value, args.epsilon); });
        normalise_block<S>(args, args.others, image, y + item / blocks * args.y_n, first, first + count,
                           {mean, inverse, scale + first, bias + first});
    };
    parallel_for(workers, args.n * blocks, body);
}

template <class S, class T = Wide<S>>
void run_layer(const NormArgs& args, const S* x, S* y, const NormParameters& parameters, const Workers& workers,
               T* scratch) {
    if (args.length == 0) return;
    T *scale = scratch, *bias = scale + args.length;
    copy_parameter<S>(args, parameters, 0, T{1}, scale);
    copy_parameter<S>(args, parameters, 1, T{0}, bias);
    const std::int64_t group = args.length >= 4096 ? 1 : 4096 / args.length;
    const double terms = static_cast<double>(args.length);
    auto body = [&](std::int64_t item, int) {
        for (std::int64_t at = item * group; at < args.others.count && at < (item + 1) * group; ++at) {
            const Offsets to = offsets_at(args.others, at);
            const S* line = x + to.of[0];
            const T mean = static_cast<T>(sum_line<S, false>(line, args.x_stride, args.length, T{0}) / terms);
            const double variance = sum_line<S, true>(line, args.x_stride, args.length, mean) / terms;
            const T inverse = inverse_deviation<T>(variance, args.epsilon);
            normalise_line<S, false, true>({line, args.x_stride, y + to.of[1], args.y_stride, args.length},
                                           {&mean, &inverse, scale, bias});
        }
    };
    parallel_for(workers, (args.others.count + group - 1) / group, body);
}

}  // namespace
}  // namespace thew
