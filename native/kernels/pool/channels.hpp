// Pooling of channels-last images: a window is reduced for several vectors of channels at a time. The last vector
// of a channel block is laid so that it ends with the block (it repeats some channels); fewer channels than a vector
// has lanes are taken one by one.
#pragma once

#include "kernels/pool/window.hpp"

namespace thew {
namespace {

template <class T>
struct ChannelWindow {
    const T* first;  // tap (first row, first column), channel 0
    std::int64_t rows, columns, row_step, column_step;
    Wide<T> count;
};

// `Value` is a vector or one element (of the type computed in), N of them side by side.
template <class Op, class T, class Value, int N>
THEW_INLINE void pool_channels(const ChannelWindow<T>& window, std::int64_t c, T* to) {
    using W = Wide<T>;
    constexpr int step = static_cast<int>(sizeof(Value) / sizeof(W));
    auto get = [](const T* from) THEW_FLAT {
        if constexpr (step == 1) {
            return wide_of(*from);
        } else {
            return load_widened(from);
        }
    };
    Value total[N];
    unroll<N>([&](auto i) THEW_FLAT { total[i] = static_cast<Value>(Value{} + Op::template start<W>()); });
    const T* row = window.first + c;
    for (std::int64_t ky = 0; ky < window.rows; ++ky, row += window.row_step) {
        Value sums[N];
        unroll<N>([&](auto i) THEW_FLAT {
            sums[i] = Op::kSumsRows ? static_cast<Value>(Value{} + Op::template start<W>()) : total[i];
        });
        const T* pixel = row;
        for (std::int64_t kx = 0; kx < window.columns; ++kx, pixel += window.column_step) {
            unroll<N>([&](auto i) THEW_FLAT { sums[i] = Op::join(sums[i], get(pixel + i * step)); });
        }
        unroll<N>([&](auto i) THEW_FLAT { total[i] = Op::kSumsRows ? Op::join(total[i], sums[i]) : sums[i]; });
    }
    unroll<N>([&](auto i) THEW_FLAT {
        const Value value = Op::finish(total[i], static_cast<Value>(Value{} + window.count));
        if constexpr (step == 1) {
            to[c] = narrow_to<T>(value);
        } else {
            store_narrowed(to + c + i * step, value);
        }
    });
}

template <class Op, class T>
void pool_pixel(const ChannelWindow<T>& window, std::int64_t first, std::int64_t last, T* to) {
    using W = Wide<T>;
    constexpr int lanes = kLanes<W>;
    std::int64_t c = first;
    for (; c + 4 * lanes <= last; c += 4 * lanes) pool_channels<Op, T, Vec<W>, 4>(window, c, to);
    for (; c + lanes <= last; c += lanes) pool_channels<Op, T, Vec<W>, 1>(window, c, to);
    if (c < last && last - first >= lanes) {
        pool_channels<Op, T, Vec<W>, 1>(window, last - lanes, to);
    } else {
        for (; c < last; ++c) pool_channels<Op, T, W, 1>(window, c, to);
    }
}

template <class Op, class T>
void pool_by_channels(const PoolArgs& args, const T* x, T* y, const Workers& workers) {
    // Rows are shared out; where they are few (global pooling), channels are too, four vectors at the least.
    constexpr std::int64_t unit = 4 * kLanes<Wide<T>>;
    const std::int64_t lines = args.oh - args.first_row;
    std::int64_t blocks = 1;
    while (workers.count > 1 && args.n * lines * blocks < 4 * workers.count && blocks * unit < args.c) blocks *= 2;
    const std::int64_t block = (args.c + blocks * unit - 1) / (blocks * unit) * unit;
    blocks = (args.c + block - 1) / block;
    auto body = [&](std::int64_t item, int) {
        const std::int64_t first = item % blocks * block, oy = args.first_row + item / blocks % lines;
        const std::int64_t n = item / blocks / lines;
        const std::int64_t last = first + block < args.c ? first + block : args.c;
        const std::int64_t top = oy * args.stride_h - args.pad_top;
        const Span rows = clip(top, args.kh, args.dilation_h, args.h, args.pad_bottom, args.count_include_pad);
        for (std::int64_t ox = 0; ox < args.ow; ++ox) {
            const std::int64_t left = ox * args.stride_w - args.pad_left;
            const Span columns = clip(left, args.kw, args.dilation_w, args.w, args.pad_right, args.count_include_pad);
            const ChannelWindow<T> window{x + n * args.x_n + (top + rows.first * args.dilation_h) * args.x_h +
                                              (left + columns.first * args.dilation_w) * args.x_w,
                                          rows.last - rows.first,
                                          columns.last - columns.first,
                                          args.dilation_h * args.x_h,
                                          args.dilation_w * args.x_w,
                                          static_cast<Wide<T>>(rows.counted * columns.counted)};
            pool_pixel<Op, T>(window, first, last, y + n * args.y_n + oy * args.y_h + ox * args.y_w);
        }
    };
    parallel_for(workers, args.n * lines * blocks, body);
}

}  // namespace
}  // namespace thew
