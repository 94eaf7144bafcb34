// The depthwise table of one ISA: which tile serves which window.
#include "kernels/depthwise/direct.hpp"

namespace thew {
namespace {

// With 32 registers a tile of two rows keeps 9 weights and its sums live; with 16, one row.
inline constexpr int kTileRows = kVectorRegisters >= 32 ? 2 : 1;

// Calls visit(tile) with the tile for these arguments.
template <class T, class Visit>
auto with_tile(const DepthwiseArgs& args, const Visit& visit) {
    const bool plain =
        args.dilation_h == 1 && args.dilation_w == 1 && args.kh == args.kw && args.stride_h == args.stride_w;
    if (plain && args.kh == 3 && args.stride_h == 1) return visit(FixedTile<T, 3, 3, 1, kTileRows, 7>{});
    if (plain && args.kh == 3 && args.stride_h == 2) return visit(FixedTile<T, 3, 3, 2, kTileRows, 7>{});
    if (plain && args.kh == 5 && args.stride_h == 1) return visit(FixedTile<T, 5, 5, 1, kTileRows, 4>{});
    if (plain && args.kh == 5 && args.stride_h == 2) return visit(FixedTile<T, 5, 5, 2, kTileRows, 4>{});
    return visit(TapsTile<T, 4>{});
}

template <class T>
void run(const DepthwiseArgs& args, const DepthwiseViews& views, const Workers& workers, std::byte* scratch) {
    with_tile<T>(args, [&](auto tile) { run_depthwise<decltype(tile)>(args, views, workers, scratch); });
}

template <class T>
std::int64_t scratch_bytes(const DepthwiseArgs& args) {
    return with_tile<T>(args, [&](auto tile) { return depthwise_scratch_bytes<decltype(tile)>(args); });
}

constexpr Row row(DType type) { return {"depthwise", "direct", type, type, type, 0, 0, 0, kIsa}; }

const DepthwiseEntry kEntries[] = {
    {row(DType::fp32), run<float>, scratch_bytes<float>},
    {row(DType::fp64), run<double>, scratch_bytes<double>},
};

}  // namespace

namespace THEW_ISA {
extern const Table<DepthwiseEntry> depthwise_table;
const Table<DepthwiseEntry> depthwise_table{kEntries, 2};
}  // namespace THEW_ISA

}  // namespace thew
