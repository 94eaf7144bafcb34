// arg_max and arg_min: each lane keeps its best element and where it was. The order has NaN above (below) all others;
// equal elements keep the first, or with select_last the last.
#pragma once

#include "kernels/reduce/strided.hpp"

namespace thew {
namespace {

// Whether `x`, met later than `best`, takes its place: lane masks, or a truth value for scalars.
template <bool kLargest, bool kLast, class V>
THEW_INLINE auto replaces(V x, V best) {
    if constexpr (kLast) {
        return (kLargest ? x >= best : x <= best) | (x != x);
    } else {
        return (kLargest ? x > best : x < best) | ((x != x) & (best == best));
    }
}

template <class T>
struct Found {
    typedef typename SignedOf<T>::Mask Indices;
    Vec<T> best;
    Indices index;

    template <bool kLargest, bool kLast>
    THEW_INLINE void meet(Vec<T> x, Indices at) {
        const auto better = replaces<kLargest, kLast>(x, best);
        best = better ? x : best;
        index = better ? at : index;
    }
};

// The place of the best of `length` >= 1 elements, `stride` apart.
template <class T, bool kLargest, bool kLast>
__attribute__((noinline)) std::int64_t arg_along(const T* x, std::int64_t length, std::int64_t stride) {
    constexpr int lanes = kLanes<T>;
    typename Found<T>::Indices lane{};
    for (int i = 0; i < lanes; ++i) lane[i] = static_cast<decltype(lane[0] + 0)>(i);
    T best = x[0];
    std::int64_t index = 0, i = 0;
    if (length >= lanes) {
        Found<T> found{load_strided(x, stride, lanes), lane};
        for (i = lanes; i + lanes <= length; i += lanes) {
            lane += lanes;
            found.template meet<kLargest, kLast>(load_strided(x + i * stride, stride, lanes), lane);
        }
        best = found.best[0];
        index = found.index[0];
        for (int k = 1; k < lanes; ++k) {  // lanes hold interleaved elements: among equals the index decides
            const T other = found.best[k];
            const std::int64_t at = found.index[k];
            const bool same = other == best || (other != other && best != best);
            const bool wins = same ? (kLast ? at > index : at < index) : replaces<kLargest, false>(other, best) != 0;
            best = wins ? other : best;
            index = wins ? at : index;
        }
    }
    for (; i < length; ++i) {
        const bool wins = replaces<kLargest, kLast>(x[i * stride], best) != 0;
        best = wins ? x[i * stride] : best;
        index = wins ? i : index;
    }
    return index;
}

// The places for `lanes` neighbouring results.
template <class T, bool kLargest, bool kLast>
__attribute__((noinline)) void arg_across(const T* x, std::int64_t length, std::int64_t stride, int lanes,
                                          std::int64_t* y, std::int64_t y_stride) {
    Found<T> found{load_strided(x, 1, lanes), {}};
    typename Found<T>::Indices at{};
    for (std::int64_t i = 1; i < length; ++i) {
        at += 1;
        found.template meet<kLargest, kLast>(load_strided(x + i * stride, 1, lanes), at);
    }
    for (int i = 0; i < lanes; ++i) y[i * y_stride] = found.index[i];
}

template <class T, bool kLargest, bool kLast>
void arg_all(const ReduceArgs& args, const T* x, std::int64_t* y, const Workers& workers) {
    const bool across = runs_across(args);
    const std::int64_t length = args.reduced.count, stride = args.reduced.rank == 0 ? 0 : args.reduced.stride[0][0];
    Axes outer = args.kept;
    std::int64_t neighbours = 1, y_stride = 0;
    if (across) {
        neighbours = outer.extent[outer.rank - 1];
        y_stride = outer.stride[1][outer.rank - 1];
        --outer.rank;
    }
    const std::int64_t width = across ? kLanes<T> : 1, blocks = (neighbours + width - 1) / width;
    const std::int64_t units = neighbours == 0 ? 0 : args.kept.count / neighbours * blocks;
    const std::int64_t group = length * width >= 16384 ? 1 : 16384 / (length * width);
    auto body = [&](std::int64_t item, int) {
        for (std::int64_t unit = item * group; unit < units && unit < (item + 1) * group; ++unit) {
            const Offsets at = offsets_at(outer, unit / blocks);
            const std::int64_t first = unit % blocks * width, left = neighbours - first;
            const T* from = x + at.of[0] + (across ? first : 0);
            std::int64_t* to = y + at.of[1] + first * y_stride;
            if (across) {
                arg_across<T, kLargest, kLast>(from, length, stride, static_cast<int>(left < width ? left : width), to,
                                               y_stride);
            } else {
                *to = arg_along<T, kLargest, kLast>(from, length, stride);
            }
        }
    };
    parallel_for(workers, (units + group - 1) / group, body);
}

template <class T>
void run_arg(const ReduceArgs& args, const T* x, std::int64_t* y, const Workers& workers) {
    const bool largest = args.op == ReduceOp::arg_max;
    if (args.select_last) return (largest ? arg_all<T, true, true> : arg_all<T, false, true>)(args, x, y, workers);
    (largest ? arg_all<T, true, false> : arg_all<T, false, false>)(args, x, y, workers);
}

}  // namespace
}  // namespace thew
