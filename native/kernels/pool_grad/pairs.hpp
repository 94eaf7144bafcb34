// Windows of 2×2, two apart, over rows of neighbouring pixels: a vector of windows at a time.
#pragma once

#include "kernels/pool_grad/windows.hpp"
#include "simd/pairs.hpp"

namespace thew {
namespace {

inline bool is_paired(const PoolGradArgs& args) {
    const bool square = args.kh == 2 && args.kw == 2 && args.stride_h == 2 && args.stride_w == 2;
    const bool rows = args.dy.w == 1 && args.dx.w == 1 && (args.average || args.x.w == 1);
    return square && rows && args.dilation_h == 1 && args.dilation_w == 1 && args.inside && args.ow > 1;
}

template <class T>
void run_plane(const PoolGradArgs& args, const T* x, const T* dy, T* dx) {
    if (!args.covers) Windows<T, T, true>{args, {1}}.clear(dx);
    for (std::int64_t oy = 0; oy < args.oh; ++oy) {
        for (std::int64_t ox = 0; ox < args.ow; ox += kLanes<T>) {
            const int some = static_cast<int>(args.ow - ox < kLanes<T> ? args.ow - ox : kLanes<T>);
            const T* at = dy + oy * args.dy.h + ox;
            const Vec<T> given = some == kLanes<T> ? load(at) : load_partial(at, some);
            Vec<T> values[4];
            if (args.average) {
                unroll<4>([&](auto k) THEW_FLAT { values[k] = given * T(0.25); });
            } else {
                unroll<2>([&](auto r) THEW_FLAT {
                    const Pairs<T> found = Pairs<T>::load_some(x + (2 * oy + r) * args.x.h + 2 * ox, some);
                    values[2 * r] = found.even, values[2 * r + 1] = found.odd;
                });
                give_to_largest<T>(values, given, args.relu);
            }
            unroll<2>([&](auto r) THEW_FLAT {
                Pairs<T>{values[2 * r], values[2 * r + 1]}.store_some(dx + (2 * oy + r) * args.dx.h + 2 * ox, some);
            });
        }
    }
}

template <class T>
void run_pairs(const PoolGradArgs& args, const T* x, const T* dy, T* dx, const Workers& workers) {
    auto body = [&](std::int64_t plane, int) {
        const std::int64_t outer = plane / args.lanes, lane = plane % args.lanes;
        run_plane(args, args.average ? nullptr : x + outer * args.x.outer + lane * args.x.lane,
                  dy + outer * args.dy.outer + lane * args.dy.lane, dx + outer * args.dx.outer + lane * args.dx.lane);
    };
    parallel_for(workers, args.outer * args.lanes, body);
}

}  // namespace
}  // namespace thew
