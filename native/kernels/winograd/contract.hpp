// Winograd's minimal filtering for convolutions of stride 1 (Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", 2016): F(m×m, r×r) computes a tile of m×m outputs from a×a inputs, a = m + r − 1, with a² multiplications
// a channel instead of m²·r².
//
//   y[tile, o] = activation( Aᵀ [ Σ_c (G w[o, c] Gᵀ) ⊙ (Bᵀ x[tile, c] B) ] A + bias[o] + residual[tile, o] )
//
// which equals conv's sum (kernels/conv/contract.hpp) for 2-d windows of r×r, stride 1, dilation 1, any padding, any
// groups. The matrices follow from points of interpolation: see matrices.hpp. Σ_c is a² matrix products (rows: tiles,
// columns: output channels, k: channels) on the trunk's register tiles.
//
// Layout: channel stride 1 in x, y and the residual (with one channel: any); pixels and images any strides. Weights
// are transformed and packed by make() where they are constant, else by each run. The residual may be exactly y; y
// overlaps nothing else. Alignment: elements'. Tails: tiles over the image's edge are staged, so memory outside the
// views is neither read nor written.
//
// Rounding: |error| ≤ (c + roundings of the transforms + 3)·eps · |Aᵀ| [ Σ_c (|G| |w| |Gᵀ|) ⊙ (|Bᵀ| |x| |B|) ] |A|, an
// output of a tile shares in the magnitudes of its whole tile. By the same token a NaN or Inf in x makes outputs whose
// window holds it NaN or Inf, and may make any other of the tiles that read it NaN (in all of the group's channels),
// and none elsewhere; one in w makes those of its channel NaN.
//
// The gradient of weights is the transpose of the same algorithm, a² products whose k are the tiles:
//
//   dw[o, c] = Gᵀ [ Σ_tile (A dy[tile, o] Aᵀ) ⊙ (Bᵀ x[tile, c] B) ] G
//
// |error| ≤ (tiles + roundings of the transforms)·eps · |Gᵀ| [ Σ_tile (|A| |dy| |Aᵀ|) ⊙ (|Bᵀ| |x| |B|) ] |G|. dw has
// any strides. Bit-identical for any number of workers.
//
// Memory of 16 bits (x, w, dy, residual and results): widened where it is read, rounded once where it is written; what
// lies between, and the bias, is fp32. Rows that sum in fp16 compute all of it in fp16 (eps = 2⁻¹¹), save that sums of
// more than 128 channels are added up in fp32; x and what lies between must stay in its range. They have no gradients.
#pragma once

#include "base/tensor.hpp"
#include "base/workers.hpp"
#include "kernels/activation.hpp"
#include "kernels/table.hpp"

namespace thew {

struct WinogradArgs {
    std::int64_t n, h, w, oh, ow, group, pad_top, pad_left;
    std::int64_t c, oc;                    // of one group
    std::int64_t tiles_h, tiles_w, tiles;  // of an image, of all images
    std::int64_t block;                    // tiles whose transforms stay near: rows of a product
    std::int64_t together;                 // blocks that all workers transform and then multiply; 0: each its own
    std::int64_t a_row, a_point, a_block;  // elements from a row, a point, a block of the transformed input to the next
    std::int64_t c_row, c_block;           // elements of a tile's products, of a block's (of one panel of columns)
    bool near;                             // whether the weights stay in the second-level cache
    std::int64_t packed_item, packed_panel;  // elements of a group's, of a whole panel's transformed weights
    const void* packed;                      // [group][panel][point][c][columns of the panel]
    Epilogue epilogue;
};

struct WinogradViews {
    const void *x, *bias, *residual;  // bias: whole panels of each group; residual: null where absent
    void* y;
    std::int64_t x_n, x_h, x_w, y_n, y_h, y_w, r_n, r_h, r_w;  // strides in elements
};

// Where the transform of weights finds them: w[o, c, h, w] of one group.
struct WinogradWeights {
    const void* data;
    std::int64_t oc, c, stride[4];
};

struct WinogradGradArgs {
    std::int64_t h, w, oh, ow, group, pad_top, pad_left;
    std::int64_t c, oc;                    // of one group
    std::int64_t tiles_h, tiles_w, tiles;  // of an image, of all images
    std::int64_t depth, blocks;            // tiles that are transformed at a time, how often
    bool near;                             // whether they, and their sums, stay in the second-level cache
    std::int64_t x_point, dy_point;        // elements from a point of a panel's transformed tiles to the next one's
    std::int64_t task_panels, task_rows;   // of output channels that a task multiplies, at most
    std::int64_t z_row;                    // elements from an output channel's sums to the next one's
    std::int64_t dw[4];                    // strides in elements
};

struct WinogradGradViews {
    const void *x, *dy;
    void* dw;
    std::int64_t x_n, x_h, x_w, dy_n, dy_h, dy_w;  // strides in elements
};

struct WinogradEntry {
    Row row;
    int m, r;        // of F(m×m, r×r)
    int vector;      // columns of a panel are a multiple of this
    int k_multiple;  // channels are padded to a multiple of this
    void (*pack)(const WinogradWeights& weights, std::int64_t panel, std::int64_t depth, void* packed);
    // `scratch`: [together blocks, or one a worker][a block of products a worker].
    void (*run)(const WinogradArgs& args, const WinogradViews& views, const Workers& workers, std::byte* scratch);
    int pitch;  // elements of a packed tile of dy in a panel of output channels
    // Null where only the convolution itself is offered.
    void (*grad_weight)(const WinogradGradArgs& args, const WinogradGradViews& views, const Workers& workers,
                        std::byte* scratch);
};

THEW_DECLARE_TABLES(WinogradEntry, winograd_fp32)
THEW_DECLARE_TABLES(WinogradEntry, winograd_fp64)
THEW_DECLARE_TABLES(WinogradEntry, winograd_half)
THEW_DECLARE_TABLES(WinogradEntry, winograd_fp16)

}  // namespace thew
