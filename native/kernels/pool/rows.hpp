// Pooling of images whose channels are not adjacent (NCHW and any other strides): the rows of a window are first
// reduced into one row, element by element, then windows along that row. Both reductions are separable, so the sums
// are those of the contract.
#pragma once

#include "kernels/pool/window.hpp"
#include "simd/pairs.hpp"

namespace thew {
namespace {

// to[i] = join(to[i], from[i·step]).
template <class Op, class T>
void join_row(Wide<T>* to, const T* from, std::int64_t step, std::int64_t count) {
    constexpr int lanes = kLanes<Wide<T>>;
    std::int64_t i = 0;
    if (step == 1) {
        for (; i + lanes <= count; i += lanes) store(to + i, Op::join(load(to + i), load_widened(from + i)));
    }
    for (; i < count; ++i) to[i] = Op::join(to[i], wide_of(from[i * step]));
}

// The reduction of `count` consecutive elements: four vectors of partial results.
template <class Op, class T>
T reduce_row(const T* from, std::int64_t count) {
    constexpr int lanes = kLanes<T>;
    T total = Op::template start<T>();
    std::int64_t i = 0;
    if (count >= 4 * lanes) {
        Vec<T> sums[4];
        unroll<4>([&](auto k) THEW_FLAT { sums[k] = splat(Op::template start<T>()); });
        for (; i + 4 * lanes <= count; i += 4 * lanes) {
            unroll<4>([&](auto k) THEW_FLAT { sums[k] = Op::join(sums[k], load(from + i + k * lanes)); });
        }
        const Vec<T> sum = Op::join(Op::join(sums[0], sums[1]), Op::join(sums[2], sums[3]));
        for (int lane = 0; lane < lanes; ++lane) total = Op::join(total, static_cast<T>(sum[lane]));
    }
    for (; i < count; ++i) total = Op::join(total, from[i]);
    return total;
}

// Windows two wide, two apart, that begin with the row: a vector of them at a time.
inline bool is_paired(const PoolArgs& args) {
    const bool two = args.kw == 2 && args.stride_w == 2 && args.dilation_w == 1;
    const bool inside = args.pad_left == 0 && args.pad_right == 0 && 2 * args.ow <= args.w;
    return two && inside && args.x_w == 1 && args.y_w == 1;
}

template <class Op, class T>
void pool_pairs(const PoolArgs& args, const T* row, const Span& rows, T* to) {
    const Vec<T> count = splat(static_cast<T>(2 * rows.counted));
    for (std::int64_t ox = 0; ox < args.ow; ox += kLanes<T>) {
        const int some = static_cast<int>(args.ow - ox < kLanes<T> ? args.ow - ox : kLanes<T>);
        Vec<T> total = splat(Op::template start<T>());
        const T* at = row + 2 * ox;
        for (std::int64_t ky = rows.first; ky < rows.last; ++ky, at += args.dilation_h * args.x_h) {
            const Pairs<T> pairs = Pairs<T>::load_some(at, some);
            total = Op::join(total, Op::join(pairs.even, pairs.odd));
        }
        total = Op::finish(total, count);
        if (some == kLanes<T>) {
            store(to + ox, total);
        } else {
            store_partial(to + ox, total, some);
        }
    }
}

// One output row of one plane; `buffer` holds w elements.
template <class Op, class T>
void pool_row(const PoolArgs& args, const T* plane, std::int64_t oy, T* to, Wide<T>* buffer) {
    using W = Wide<T>;
    const std::int64_t top = oy * args.stride_h - args.pad_top;
    const Span rows = clip(top, args.kh, args.dilation_h, args.h, args.pad_bottom, args.count_include_pad);
    const T* row = plane + (top + rows.first * args.dilation_h) * args.x_h;
    if constexpr (std::is_floating_point_v<T>) {
        if (is_paired(args)) return pool_pairs<Op, T>(args, row, rows, to);
    }
    const W* line = buffer;
    if (std::is_same_v<T, W> && rows.last - rows.first == 1 && args.x_w == 1) {
        line = reinterpret_cast<const W*>(row);
    } else {
        for (std::int64_t i = 0; i < args.w; ++i) buffer[i] = Op::template start<W>();
        for (std::int64_t ky = rows.first; ky < rows.last; ++ky, row += args.dilation_h * args.x_h) {
            join_row<Op, T>(buffer, row, args.x_w, args.w);
        }
    }
    for (std::int64_t ox = 0; ox < args.ow; ++ox) {
        const std::int64_t left = ox * args.stride_w - args.pad_left;
        const Span columns = clip(left, args.kw, args.dilation_w, args.w, args.pad_right, args.count_include_pad);
        const W* tap = line + left + columns.first * args.dilation_w;
        W value = Op::template start<W>();
        if (args.dilation_w == 1) {
            value = reduce_row<Op, W>(tap, columns.last - columns.first);
        } else {
            for (std::int64_t kx = columns.first; kx < columns.last; ++kx, tap += args.dilation_w) {
                value = Op::join(value, *tap);
            }
        }
        to[ox * args.y_w] = narrow_to<T>(Op::finish(value, static_cast<W>(rows.counted * columns.counted)));
    }
}

template <class Op, class T>
void pool_by_rows(const PoolArgs& args, const T* x, T* y, const Workers& workers, std::byte* scratch,
                  std::int64_t scratch_bytes) {
    // Rows in item-sized groups, so that an item reads some 16 K elements.
    const std::int64_t row_elements = args.w * (args.kh < args.h ? args.kh : args.h) + 1;
    const std::int64_t group = row_elements >= 16384 ? 1 : 16384 / row_elements;
    const std::int64_t rows = args.n * args.c * args.oh;
    auto body = [&](std::int64_t item, int worker) {
        auto* buffer = reinterpret_cast<Wide<T>*>(scratch + worker * scratch_bytes);
        const std::int64_t end = (item + 1) * group < rows ? (item + 1) * group : rows;
        for (std::int64_t row = item * group; row < end; ++row) {
            const std::int64_t oy = row % args.oh, c = row / args.oh % args.c, n = row / args.oh / args.c;
            pool_row<Op, T>(args, x + n * args.x_n + c * args.x_c, oy, y + n * args.y_n + c * args.y_c + oy * args.y_h,
                            buffer);
        }
    };
    parallel_for(workers, (rows + group - 1) / group, body);
}

}  // namespace
}  // namespace thew
