// Depthwise convolution (ONNX Conv with group == c), and that of narrow groups:
//
//   y[n, i·m + j, oy, ox] = act(bias[i·m + j] + Σ_ky,kx weight[i·m + j, 0, ky, kx] · x[n, i, oy·sh - top + ky·dh,
//                                ox·sw - left + kx·dw] + residual[n, i·m + j, oy, ox]),   x = 0 outside the image
//
// Layout: x must be channels-last (channel stride 1), other strides free. y and residual have any strides; full speed
// wants channel stride 1 and m == 1 in y. weight and bias are repacked, constants in make(). No alignment is asked
// for; y may be the residual itself (same view), and overlaps nothing else. Any c: tails are copied through a buffer,
// so memory outside the views is neither read nor written. Sums run over taps in order, one accumulator an output:
// |error| <= (kh·kw + 2)·eps·Σ|terms|. fp16 and bf16 (row.a) are summed in fp32 (row.acc) and rounded once; where a
// residual or an activation beyond a clip follows, once before and once after. Their weight and bias may be fp32.
//
// Bytes (qlinear_conv): y = clamp(rint(sum · multiplier) + y_zero, low, high) with sum = bias + Σ weight · x over
// integers less their zero points. Computed in fp32, which holds every partial sum exactly as long as no one passes 2²⁴
// (the step's duty), and in groups in int32; outside the image x is its zero point, which the bias takes account of.
#pragma once

#include "base/tensor.hpp"
#include "base/workers.hpp"
#include "kernels/activation.hpp"
#include "kernels/table.hpp"

namespace thew {

struct DepthwiseArgs {
    std::int64_t n, c, h, w, oh, ow, multiplier;
    std::int64_t kh, kw, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    std::int64_t width;     // channels of a group
    std::int64_t padded_c;  // c rounded up to depthwise_padding
    const void* packed;     // [multiplier][kh·kw + 2][padded_c]: bias, one line a tap, the multiplier (bytes only); of
                            // row.acc. Groups: [vectors of channels][1 + width·kh·kw][lanes], see group_block_first;
                            // of bytes [1 + width/4·kh·kw + 1]: int32 bias, four inputs a lane, the multiplier
    const void* zeros;      // [padded_c] elements of x: what lies outside the image
    Epilogue epilogue;
    bool residual;                   // a residual will be given
    std::int64_t first_row = 0;      // rows [first_row, oh) of y are computed
    std::int32_t y_zero, low, high;  // bytes only
};

struct DepthwiseViews {
    const void* x;
    void* y;
    std::int64_t x_n, x_h, x_w;  // strides in elements; channel stride 1
    std::int64_t y_n, y_c, y_h, y_w;
    const void* residual;
    std::int64_t r_n, r_c, r_h, r_w;
};

struct DepthwiseEntry {
    Row row;
    // `scratch` has scratch_bytes() for each worker.
    void (*run)(const DepthwiseArgs& args, const DepthwiseViews& views, const Workers& workers, std::byte* scratch);
    std::int64_t (*scratch_bytes)(const DepthwiseArgs& args);
};

inline constexpr std::int64_t depthwise_padding = 16;  // lanes of the widest vector of fp32

// The first channel of a vector: where channels do not fill whole vectors, the last one ends with the last channel.
inline std::int64_t group_block_first(std::int64_t c, std::int64_t lanes, std::int64_t block) {
    const std::int64_t first = block * lanes, last = c > lanes ? c - lanes : 0;
    return first < last ? first : last;
}

THEW_DECLARE_TABLES(DepthwiseEntry, depthwise_table)
THEW_DECLARE_TABLES(DepthwiseEntry, depthwise_groups)
THEW_DECLARE_TABLES(DepthwiseEntry, depthwise_bf16)
THEW_DECLARE_TABLES(DepthwiseEntry, depthwise_bytes)
THEW_DECLARE_TABLES(DepthwiseEntry, depthwise_byte_groups)

}  // namespace thew
