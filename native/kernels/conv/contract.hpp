// Convolution on the trunk (kernels/matmul/contract.hpp): rows are output pixels, columns output channels, and k walks
// the window; patches are gathered while a is packed, so no im2col matrix is ever stored.
//
//   y[b, o, i, j] = activation( Σ_{h, w, c} x[b, g·C + c, i·s_h − p_h + h·d_h, j·s_w − p_w + w·d_w] · w[o, c, h, w]
//                               + bias[o] + residual[b, o, i, j] ),   C = c / group, g the group of o
//
// x outside the image is zero; pads may be negative. Every view may have any strides; fast are: channel stride 1 in x
// (or width stride 1 with dilation 1 in w, as the first layer of a net reads an image), and channel stride 1 in y and
// the residual. The residual may be exactly y (same address and strides); y overlaps nothing else. Alignment:
// elements'.
//
// Gradients, on the same rows:
//   conv_grad_input    dx[b, c, h, w] = Σ dy[b, o, i, j] · w[o, c, kh, kw] over o and all taps that read (h, w)
//   conv_grad_weight   dw[o, c, kh, kw] = Σ_{b, i, j} dy[b, o, i, j] · x[b, c, i·s_h − p_h + kh·d_h, …]; rows are
//                      (kh, kw, c), columns o, and k runs over pixels, whose patches are packed as columns. Each
//                      element is one sum in a fixed order, whatever the number of threads.
//
// Algorithms: `implicit` takes any window; `pointwise` takes windows of 1×1 without padding, and reads x in place where
// its rows allow; `direct` takes one group of a few channels, best planes (NCHW), and writes channels-last only. The
// gradient of the weights has `implicit` alone, that of the input not `direct`.
#pragma once

#include "kernels/matmul/contract.hpp"

namespace thew {

// Where the gathering packer finds k, as runs of consecutive memory where x has any:
//   width runs: (plane, h), then `run` elements along the width; a dense channels-last image has one plane and
//               `unit` = C elements a pixel, an image of planes (NCHW) has C planes of `unit` = 1;
//   channel runs: (h, w), then the C channels of that tap, x_c apart. For what is left: dilation along w, groups,
//   slices.
struct Patches {
    std::int64_t in_h, in_w, out_h, out_w;
    std::int64_t kh, kw;
    std::int64_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    std::int64_t x_n, x_c, x_h, x_w;  // strides of x in elements
    bool width_runs;
    bool columns;        // width runs of a planes image, packed a column of pixels at a time
    std::int64_t unit;   // elements of a pixel in a width run
    std::int64_t run;    // elements of a run
    const void* around;  // kMostPiece elements of what lies around the image; null: zeros

    // direct: output rows of a band, and the elements of a line of it and bytes of it all.
    std::int64_t band_rows, band_width, band_bytes;
};

inline constexpr int kMostSegments = 64;  // planes × window rows that `direct` takes

enum class ConvAlgorithm : std::uint8_t { implicit, pointwise, direct };

struct ConvEntry {
    ConvAlgorithm algorithm;
    MatmulEntry trunk;  // its run() takes a as a strided view: pointwise
    void (*run)(const Product& product, const Patches& patches, const Workers& workers, std::byte* packed_a);
    // The product of conv_grad_weight; `patches` are channel runs. Null but for implicit rows that take columns.
    void (*grad_weight)(const Product& product, const Patches& patches, const Workers& workers, std::byte* packed_a);
    // Dense sums of `items` groups, (kh, kw, c) by o with o innermost, to dw: `to` has those axes as k and n. For rows
    // whose sums are kept in c.
    void (*scatter)(const void* sums, const UnpackedB& to, std::int64_t items, std::int64_t item_stride,
                    const Workers& workers);
};

THEW_DECLARE_TABLES(ConvEntry, conv_fp32)
THEW_DECLARE_TABLES(ConvEntry, conv_fp64)
THEW_DECLARE_TABLES(ConvEntry, conv_fp16)
THEW_DECLARE_TABLES(ConvEntry, conv_bf16)

}  // namespace thew
