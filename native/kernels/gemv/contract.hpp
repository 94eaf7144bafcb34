// Products that the trunk serves badly: of few rows or of short sums, which repacking would cost more than it gains
// (BLAS's gemv and ger), and with constant weights in a form that is smaller than the matrix.
//
//   y[m, n] = activation( Σ_k a[m, k]·b[k, n] · scale[n] + bias[n] + residual[m, n] )
//
// `direct` reads b where it lies: its columns lie side by side ("rows of b": multiples of them are added up in
// registers), or its rows do, and a's with them ("columns of b": dot products, whose lanes are added last). y's columns
// lie side by side; other strides as they like. There is no scale and no residual.
//
// The other algorithms hold b packed (pack.hpp), in panels of row.nr columns, the last filled up with zeros. Columns of
// a, y and the residual lie side by side:
//   widened      b is int8 and is widened as it is read: a product that waits for memory waits for a quarter of it
//   blocks       b has whole blocks of zeros, one k by nr columns, which are left out
//   structured   b has at most `kept` elements that are not zero among every kChoices k of a column (Mishra et al.,
//                "Accelerating sparse deep neural networks", 2021); which of them, 2 bits each say
//
// Alignment: elements'. y overlaps no input. Each element is one sum in an order that depends on the row alone, so that
// neither threads nor the number of rows change it. What is left out is not multiplied: a NaN or infinity in a need not
// reach a column whose weight for it is zero.
#pragma once

#include "base/tensor.hpp"
#include "base/workers.hpp"
#include "kernels/activation.hpp"
#include "kernels/table.hpp"

namespace thew {

struct Gemv {
    std::int64_t m, n, k;
    std::int64_t a_m, a_k, b_k, b_n, y_m;  // strides in elements; b_k or b_n is 1
    std::int64_t bias_stride;
    Epilogue epilogue;
};

struct GemvEntry {
    Row row;
    void (*run)(const Gemv& gemv, const void* a, const void* b, const void* bias, void* y, const Workers& workers);
};

inline constexpr int kChoices = 4;                                       // k among which `structured` chooses
inline constexpr int kChoicesAWord = 16;                                 // 2 bits each
inline constexpr std::int64_t kLongestChunk = kChoices * kChoicesAWord;  // k that a word may stand for

struct PackedGemv {
    std::int64_t m, n, k;
    std::int64_t a_m, y_m, residual_m;  // strides in elements
    Epilogue epilogue;
    const void* weights;          // by panels, nr elements a k that is kept
    const std::uint32_t* places;  // blocks: the k of each; structured: a word a column for as many choices as it holds
    const std::int64_t* first;    // blocks: those before each panel, one more than there are panels
    int kept;                     // structured
    const float *scale, *bias;    // side by side, or null
};

struct PackedGemvEntry {
    Row row;
    void (*run)(const PackedGemv& gemv, const float* a, const float* residual, float* y, const Workers& workers);
};

THEW_DECLARE_TABLES(GemvEntry, gemv_table)
THEW_DECLARE_TABLES(PackedGemvEntry, gemv_packed)

}  // namespace thew
