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
// point. Walks, strides, tails and aliasing are the trunk's (kernels/matmul/contract.hpp).
//
// With a residual, c counts in steps of its own, z, and is what qlinear_add makes of the requantised sum y and the
// residual r (kernels/quant/contract.hpp): the bits are those of the two ops one after the other.
//
//   y = clamp(rint(fp32(sum) · multiplier[i, n]) + y_zero) to its dtype
//   c = clamp(rint((y − y_zero) · y_ratio + (r − r_zero) · r_ratio) + c_zero, low, high)
#pragma once

#include "kernels/conv/contract.hpp"

namespace thew {

// The sum with a residual, of c's dtype.
struct IntegerResidual {
    float y_ratio, r_ratio;  // y's and the residual's scale over c's
    std::int32_t y_zero, r_zero;
    bool is_signed;
};

struct IntegerProduct {
    Product trunk;               // bias and epilogue unused; c_n and strides of c and the residual in their elements
    std::int64_t n_padded;       // columns of an item in the three arrays below: whole panels
    const std::int32_t* start;   // bias − a'·Σ b + k·a'·b'
    const std::int32_t* b_left;  // b', or null where all are 0
    const float* multiplier;     // null where c is int32
    std::int32_t c_zero, low, high;
    IntegerResidual residual;  // read where trunk.residual is not null
    std::uint8_t flip;         // a byte of a, xor this, is its u
    std::int32_t a_zero;       // of u
};

// How an ISA packs; see above.
struct IntegerPacking {
    int a_bytes, b_bytes;  // 1, or 2: zero points are taken out while packing
    bool a_signed;         // one byte: u − 128
    int group;             // k side by side in b
    int lanes;             // columns side by side in b
    int k_multiple;
};

inline constexpr std::int64_t kPackedSlack = 64;  // bytes past a worker's packed rows that packing may write

struct IntegerEntry {
    Row row;
    IntegerPacking packing;
    void (*run)(const IntegerProduct& product, const Workers& workers, std::byte* scratch);
    void (*run_patches)(const IntegerProduct& product, const Patches& patches, const Workers& workers,
                        std::byte* scratch);
};

THEW_DECLARE_TABLES(IntegerEntry, integer_int8)

}  // namespace thew
