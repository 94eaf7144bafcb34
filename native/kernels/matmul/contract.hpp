// The trunk: blocked matrix products after BLIS, and what a caller must hand to it. Plain data only.
//
//   c[i, m, n] = activation( Σ_k a[i, m, k] · b[i, k, n] + bias[i, n] + residual[i, m, n] )
//
// Items i (batches of a product, groups of a convolution) are independent. A row m is addressed by a walk over up to
// kMaxRank dimensions, so that rows of any strided view need no copy (output pixels of a slice, batches folded into
// rows). a may have any strides; c and residual too: column stride 1 is written from registers, others through a tile
// buffer. b comes packed (see pack_b.hpp): panels of `panel` columns, the last as narrow as whole vectors allow, each
// holding all of k row by row; what pads it is zero.
//
// Numbers: row.a is the type in memory of every operand, row.acc that of the sums. fp16 and bf16 are summed in fp32,
// and c is rounded once (after an activation of exponentials, once more). Rows whose acc is fp16 multiply and sum in
// fp16, but no more than 192 k at a time, whose sums are added in fp32: |error| ≤ (min(k, 192) + 2)·2^-11·Σ|terms|, and
// a sum of so many beyond 65504 is infinite.
//
// Alignment: elements'. Aliasing: c may be exactly the residual (same address and strides), and overlaps nothing else.
// Tails: a tile is as high as its rows; columns past n are computed on padding and not stored, so nothing leaks into
// memory, and NaN or Inf of one row or column never reaches another.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor.hpp"
#include "base/workers.hpp"
#include "kernels/activation.hpp"
#include "kernels/table.hpp"

namespace thew {

inline constexpr int kMaxBlockRows = 512;

// Walks an index over nested extents (the last runs fastest); strides in elements, one set an operand.
struct Walk {
    int rank;
    std::int64_t extent[kMaxRank];
    std::int64_t a[kMaxRank], c[kMaxRank], residual[kMaxRank];
};

// How the loops are cut; see blocking.hpp for the model behind it.
struct Blocking {
    std::int64_t rows;     // of a tile, at most kMaxBlockRows
    std::int64_t depth;    // of k handled between two touches of c
    std::int64_t columns;  // of a tile, whole panels
    std::int64_t unit;     // rows come in units of so many that no panel may cross, `rows` a multiple; 0: as they come
    std::int64_t room;     // packed rows that a block takes, whole panels
    std::int64_t a_row;    // elements from a row of packed a to the next
    bool shared;           // a is packed once by all workers together, before the tiles
    bool in_place;         // a is read where it lies: its k stride is 1 and its rows are evenly spaced
};

struct Product {
    std::int64_t first;            // rows [first, m) are computed
    std::int64_t m, n, k, k_real;  // k as packed, and before it was padded
    std::int64_t items;
    Walk row, item;
    std::int64_t item_b[kMaxRank], item_bias[kMaxRank];  // elements of packed b and of bias, walked with `item`
    std::int64_t a_k, c_n, residual_n;                   // strides
    bool a_columns;                                      // rows of a are neighbours in memory, k apart
    const void *a, *b, *bias, *residual;                 // bias: n consecutive elements, of 16-bit rows fp32; or null
    void* c;
    Epilogue epilogue;
    Blocking blocking;
};

// Where pack_b finds b: k is a walk over three extents, the last fastest.
struct UnpackedB {
    const void* data;
    std::int64_t extent[3], stride[3];
    std::int64_t n, n_stride;
};

struct MatmulEntry {
    Row row;
    int vector;           // columns of a panel are a multiple of this
    int k_multiple;       // k is padded to a multiple of this
    int column_pitch;     // elements from a k to the next where a is packed as columns; 0 where it cannot be
    int a_bytes;          // of an element of packed a
    bool keeps_sums;      // fp32, in scratch between blocks of k, since c is narrower
    bool reads_in_place;  // may take Blocking::in_place
    void (*pack_b)(const UnpackedB& b, std::int64_t first_panel, std::int64_t last_panel, void* packed);
    void (*run)(const Product& product, const Workers& workers, std::byte* packed_a);
};

// What biases are, and what the rest is summed in.
inline DType wide_dtype(DType memory) { return memory == DType::fp16 || memory == DType::bf16 ? DType::fp32 : memory; }

THEW_DECLARE_TABLES(MatmulEntry, matmul_fp32)
THEW_DECLARE_TABLES(MatmulEntry, matmul_fp64)
THEW_DECLARE_TABLES(MatmulEntry, matmul_fp16)
THEW_DECLARE_TABLES(MatmulEntry, matmul_bf16)

}  // namespace thew
