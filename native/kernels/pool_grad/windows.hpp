// The windows of one image's block of lanes, one after another. `Value` is a vector or one element, of the type
// computed in; elements of 16 bits are widened and, where windows share them, rounded each time.
#pragma once

#include "kernels/pool/window.hpp"
#include "kernels/pool_grad/contract.hpp"
#include "simd/half.hpp"

namespace thew {
namespace {

// The last block's lanes may be fewer than a vector has.
template <class T, class Value>
struct Block {
    int lanes;

    template <bool kWhole>
    THEW_INLINE Value get(const T* from) const {
        if constexpr (sizeof(Value) == sizeof(Wide<T>)) {
            return wide_of(*from);
        } else {
            return kWhole ? load_widened(from) : load_widened_partial(from, lanes);
        }
    }
    template <bool kWhole>
    THEW_INLINE void put(T* to, Value value) const {
        if constexpr (sizeof(Value) == sizeof(Wide<T>)) {
            *to = narrow_to<T>(value);
        } else if constexpr (kWhole) {
            store_narrowed(to, value);
        } else {
            store_narrowed_partial(to, value, lanes);
        }
    }
};

// The taps of a window inside the image.
struct Taps {
    Span rows, columns;
    std::int64_t top, left;  // of tap (0, 0)
};

inline Taps taps_of(const PoolGradArgs& args, std::int64_t oy, std::int64_t ox) {
    const std::int64_t top = oy * args.stride_h - args.pad_top, left = ox * args.stride_w - args.pad_left;
    if (args.inside) return {{0, args.kh, args.kh}, {0, args.kw, args.kw}, top, left};
    return {clip(top, args.kh, args.dilation_h, args.h, args.pad_bottom, args.count_include_pad),
            clip(left, args.kw, args.dilation_w, args.w, args.pad_right, args.count_include_pad), top, left};
}

// body(tap's row in the image, its column) for every tap.
template <class Body>
THEW_INLINE void each_tap(const PoolGradArgs& args, const Taps& taps, const Body& body) {
    for (std::int64_t ky = taps.rows.first; ky < taps.rows.last; ++ky) {
        const std::int64_t h = taps.top + ky * args.dilation_h;
        for (std::int64_t kx = taps.columns.first; kx < taps.columns.last; ++kx) {
            body(h, taps.left + kx * args.dilation_w);
        }
    }
}

// Each value of a window becomes what it gets of dy: all where it is the first of the largest, else 0.
template <class T, class Value, int N>
THEW_INLINE void give_to_largest(Value (&values)[N], Value dy, bool relu) {
    Value best = static_cast<Value>(Value{} + lowest<Wide<T>>());
    unroll<N>([&](auto k) THEW_FLAT { best = MaxOf::join(best, values[k]); });
    Value left = dy;
    if (relu) left = best > Value{} ? left : Value{};
    auto open = (best == best) | (best != best);  // lanes whose largest is still to come: all
    unroll<N>([&](auto k) THEW_FLAT {
        const auto here = ((values[k] == best) | ((values[k] != values[k]) & (best != best))) & open;
        open = here ? (open ^ open) : open;
        values[k] = here ? left : Value{};
    });
}

template <class T, class Value, bool kWhole>
struct Windows {
    const PoolGradArgs& args;
    const Block<T, Value> block;

    THEW_INLINE Value get(const T* from) const { return block.template get<kWhole>(from); }
    THEW_INLINE void give(T* to, Value value) const {
        block.template put<kWhole>(to, args.disjoint ? value : static_cast<Value>(get(to) + value));
    }

    void clear(T* dx) const {
        for (std::int64_t h = 0; h < args.h; ++h) {
            for (std::int64_t w = 0; w < args.w; ++w) {
                block.template put<kWhole>(dx + h * args.dx.h + w * args.dx.w, Value{});
            }
        }
    }

    // Two walks over the window: the largest, then dy where it is met for the first time.
    THEW_INLINE void max(const Taps& taps, const T* x, T* dx, Value dy) const {
        const Value lowest_value = static_cast<Value>(Value{} + lowest<Wide<T>>());
        Value best = lowest_value;
        each_tap(args, taps, [&](std::int64_t h, std::int64_t w) THEW_FLAT {
            best = MaxOf::join(best, get(x + h * args.x.h + w * args.x.w));
        });
        Value left = dy;
        if (args.relu) left = best > Value{} ? left : Value{};
        auto open = (dy == dy) | (dy != dy);  // lanes whose largest is still to come: all
        each_tap(args, taps, [&](std::int64_t h, std::int64_t w) THEW_FLAT {
            const Value value = get(x + h * args.x.h + w * args.x.w);
            const auto here = ((value == best) | ((value != value) & (best != best))) & open;
            open = here ? (open ^ open) : open;
            give(dx + h * args.dx.h + w * args.dx.w, here ? left : Value{});
        });
    }

    // A window of Side×Side inside the image: the same in one walk, its elements in registers.
    template <int Side>
    THEW_INLINE void max_square(const Taps& taps, const T* x, T* dx, Value dy) const {
        const std::int64_t down = taps.top, right = taps.left;
        Value values[Side * Side];
        unroll<Side * Side>([&](auto k) THEW_FLAT {
            const std::int64_t h = down + k / Side * args.dilation_h, w = right + k % Side * args.dilation_w;
            values[k] = get(x + h * args.x.h + w * args.x.w);
        });
        give_to_largest<T>(values, dy, args.relu);
        unroll<Side * Side>([&](auto k) THEW_FLAT {
            const std::int64_t h = down + k / Side * args.dilation_h, w = right + k % Side * args.dilation_w;
            give(dx + h * args.dx.h + w * args.dx.w, values[k]);
        });
    }

    THEW_INLINE void average(const Taps& taps, T* dx, Value dy) const {
        const Wide<T> count = static_cast<Wide<T>>(taps.rows.counted * taps.columns.counted);
        const Value share = static_cast<Value>(dy / static_cast<Value>(Value{} + count));
        each_tap(args, taps,
                 [&](std::int64_t h, std::int64_t w) THEW_FLAT { give(dx + h * args.dx.h + w * args.dx.w, share); });
    }

    void run(const T* x, const T* dy, T* dx) const {
        if (!args.covers) clear(dx);
        for (std::int64_t oy = 0; oy < args.oh; ++oy) {
            for (std::int64_t ox = 0; ox < args.ow; ++ox) {
                const Taps taps = taps_of(args, oy, ox);
                const Value given = get(dy + oy * args.dy.h + ox * args.dy.w);
                if (args.average) {
                    average(taps, dx, given);
                } else if (args.inside && args.kh == 2 && args.kw == 2) {
                    max_square<2>(taps, x, dx, given);
                } else if (args.inside && args.kh == 3 && args.kw == 3) {
                    max_square<3>(taps, x, dx, given);
                } else {
                    max(taps, x, dx, given);
                }
            }
        }
    }
};

template <class T>
void run_windows(const PoolGradArgs& args, const T* x, const T* dy, T* dx, const Workers& workers) {
    using W = Wide<T>;
    const bool vectors = args.dy.lane == 1 && args.dx.lane == 1 && (args.average || args.x.lane == 1);
    const std::int64_t width = vectors ? kLanes<W> : 1, blocks = (args.lanes + width - 1) / width;
    auto body = [&](std::int64_t task, int) {
        const std::int64_t outer = task / blocks, first = task % blocks * width;
        auto at = [&](auto* data, const PoolStrides& stride) {
            return data + outer * stride.outer + first * stride.lane;
        };
        const T* from = args.average ? nullptr : at(x, args.x);
        const int lanes = static_cast<int>(args.lanes - first < width ? args.lanes - first : width);
        if (!vectors) {
            Windows<T, W, true>{args, {1}}.run(from, at(dy, args.dy), at(dx, args.dx));
        } else if (lanes == kLanes<W>) {
            Windows<T, Vec<W>, true>{args, {lanes}}.run(from, at(dy, args.dy), at(dx, args.dx));
        } else {
            Windows<T, Vec<W>, false>{args, {lanes}}.run(from, at(dy, args.dy), at(dx, args.dx));
        }
    };
    parallel_for(workers, args.outer * blocks, body);
}

}  // namespace
}  // namespace thew
