// Which tile serves which window.
#pragma once

#include "kernels/depthwise/direct.hpp"

namespace thew {
namespace {

// With 32 registers a tile of two rows keeps 9 weights and its sums live; with 16, one row.
inline constexpr int kTileRows = kVectorRegisters >= 32 ? 2 : 1;

// Calls visit(tile) with the tile for these arguments.
template <class Values, class Visit>
auto with_tile(const DepthwiseArgs& args, const Visit& visit) {
    const bool plain =
        args.dilation_h == 1 && args.dilation_w == 1 && args.kh == args.kw && args.stride_h == args.stride_w;
    if (plain && args.kh == 3 && args.stride_h == 1) return visit(FixedTile<Values, 3, 3, 1, kTileRows, 7>{});
    if (plain && args.kh == 3 && args.stride_h == 2) return visit(FixedTile<Values, 3, 3, 2, kTileRows, 7>{});
    // Narrow elements: fewer tiles, and a smaller library.
    if constexpr (sizeof(typename Values::In) < sizeof(typename Values::T)) return visit(TapsTile<Values, 4>{});
    if (plain && args.kh == 5 && args.stride_h == 1) return visit(FixedTile<Values, 5, 5, 1, kTileRows, 4>{});
    if (plain && args.kh == 5 && args.stride_h == 2) return visit(FixedTile<Values, 5, 5, 2, kTileRows, 4>{});
    return visit(TapsTile<Values, 4>{});
}

template <class Values>
void run(const DepthwiseArgs& args, const DepthwiseViews& views, const Workers& workers, std::byte* scratch) {
    with_tile<Values>(args, [&](auto tile) { run_depthwise<decltype(tile)>(args, views, workers, scratch); });
}

template <class Values>
std::int64_t scratch_bytes(const DepthwiseArgs& args) {
    return with_tile<Values>(args, [&](auto tile) { return depthwise_scratch_bytes<decltype(tile)>(args); });
}

template <class Element>
constexpr DepthwiseEntry real_entry(DType type, DType sum) {
    return {{"depthwise", "direct", type, type, sum, 0, 0, 0, kIsa},
            run<RealValues<Element>>,
            scratch_bytes<RealValues<Element>>};
}

}  // namespace
}  // namespace thew
