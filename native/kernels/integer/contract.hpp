// Products of 8-bit integers on the trunk's loops, for matrices and for convolutions:
//
//   sum[i, m, n] = Σ_k (a[i, m, k] − a_zero) · (b[i, k, n] − b_zero[n]) + bias[i, n]             exact, in int32
//   c[i, m, n]   = sum, or clamp(rint(fp32(sum) · multiplier[i, n]) + c_zero, low, high)          halves to even
//
// What is packed are not the operands themselves but what the ISA multiplies: with u the operand as an unsigned byte
// (int8 plus 128), the packed a is u, u − 128 or, in 16 bits, u − its zero point; b likewise, signed. What is left of a
// zero point, a' and b', is taken out afterwards:
//
//   Σ (a − a')(b − b') = Σ a·b − a'·Σ_k b − b'·Σ_k a + k·a'·b'
//
// where all but the sums of rows of a is known once b is: `start`. Those are made only where some b' is not 0. All of k
// is summed before a tile is written, so c is touched once. k is padded with zeros; around an image lies a's zero
// point. Walks, strides, tails and aliasing are the trunk's (kernels/matmul/contract.hpp), without a residual.
#pragma once

#include "kernels/conv/contract.hpp"

namespace thew {

struct IntegerProduct {
    Product trunk;               // bias, residual and epilogue unused; c_n and strides of c in its elements
    std::int64_t n_padded;       // columns of an item in the three arrays below: whole panels
    const std::int32_t* start;   // bias − a'·Σ b + k·a'·b'
    const std::int32_t* b_left;  // b', or null where all are 0
    const float* multiplier;     // null where c is int32
    std::int32_t c_zero, low, high;
    std::uint8_t flip;    // a byte of a, xor this, is its u
    std::int32_t a_zero;  // of u
};

// How an ISA packs; see above.
struct IntegerPacking {
    int a_bytes, b_bytes;  // 1, or 2: zero points are taken out while packing
    bool a_signed;         // one byte: u − 128
    int group;             // k side by side in b
    int lanes;             // columns side by side in b
    int k_multiple;
};

struct IntegerEntry {
    Row row;
    IntegerPacking packing;
    void (*run)(const IntegerProduct& product, const Workers& workers, std::byte* scratch);
    void (*run_patches)(const IntegerProduct& product, const Patches& patches, const Workers& workers,
                        std::byte* scratch);
};

THEW_DECLARE_TABLES(IntegerEntry, integer_int8)

}  // namespace thew
