// Narrow groups of bytes: sums in int32, counted in steps of y as they are written.
#pragma once

#include "kernels/depthwise/groups.hpp"
#include "simd/requantise.hpp"
#include "simd/spread_quads.hpp"

#if defined(THEW_HAS_QUADS)

namespace thew {
namespace {

template <class Q>
struct ByteGroups {
    using In = Q;
    using Sum = std::int32_t;
    using Out = Q;
    static constexpr std::int64_t kLinesBehind = 1;  // multipliers, fp32

    static std::int64_t inputs(const DepthwiseArgs& args) { return args.width / kQuad; }
    static GroupTile<In, Sum> tile(const DepthwiseArgs& args) {
#if defined(__x86_64__)
        if (args.width < kLanes<Sum>) return spread_tile<PermutedQuads<Q>>(args);
#endif
        return spread_tile<QuadsForAll<Q>>(args);
    }

    static THEW_INLINE void write(const DepthwiseArgs& args, const Sum* sums, const void* multipliers, Q* y,
                                  std::int64_t y_step, std::int64_t over, std::int64_t count) {
        const Requantise requantise(args.y_zero, args.low, args.high);
        const Vec<float> total = __builtin_convertvector(load(sums), Vec<float>);
        const Int32s found = requantise(total * load(static_cast<const float*>(multipliers)));
        if (over == 0) return store_columns(y, found, y_step, count);
        Q bytes[kLanes<Sum>];
        store_narrow(bytes, found);
        for (std::int64_t k = 0; k < count; ++k) y[k * y_step] = bytes[over + k];
    }
};

}  // namespace
}  // namespace thew

#endif
