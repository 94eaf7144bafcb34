// Where windows lie inside the image, along one axis, and how channels are cut into register tiles.
#pragma once

#include "kernels/conv_batch/contract.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

struct Range {
    std::int64_t first, last;
};

// ceil(a / b) for b > 0.
inline std::int64_t divide_up(std::int64_t a, std::int64_t b) { return a <= 0 ? -(-a / b) : (a + b - 1) / b; }

inline Range within(std::int64_t first, std::int64_t last, std::int64_t low, std::int64_t high) {
    const std::int64_t begin = first < low ? low : first > high ? high : first, end = last > high ? high : last;
    return {begin, end < begin ? begin : end};
}

// Taps k in [0, taps) that put start + k·dilation inside [0, extent).
inline Range taps_inside(std::int64_t start, std::int64_t dilation, std::int64_t taps, std::int64_t extent) {
    return within(divide_up(-start, dilation), divide_up(extent - start, dilation), 0, taps);
}

// Outputs j in [0, count) all of whose taps, from `shift` on over `span` elements, lie inside [0, extent).
inline Range outputs_inside(std::int64_t shift, std::int64_t span, std::int64_t stride, std::int64_t count,
                            std::int64_t extent) {
    return within(divide_up(-shift, stride), divide_up(extent - span - shift + 1, stride), 0, count);
}

// Channels cut into tiles of at most `most`, whose sizes differ by at most one.
struct ChannelTiles {
    std::int64_t channels, count;

    ChannelTiles(std::int64_t all, int most) : channels(all), count((all + most - 1) / most) {}
    int height(std::int64_t tile) const { return static_cast<int>(channels / count + (tile < channels % count)); }
    std::int64_t first(std::int64_t tile) const {
        const std::int64_t more = channels % count;
        return tile * (channels / count) + (tile < more ? tile : more);
    }
};

}  // namespace
}  // namespace thew
