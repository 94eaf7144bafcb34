// Products of few rows or of short sums, which repacking would cost more than it gains (BLAS's gemv and ger):
//
//   y[m, n] = activation( Σ_k a[m, k]·b[k, n] + bias[n] )
//
// b's columns lie side by side ("rows of b": multiples of them are added up in registers), or b's rows do, and a's with
// them ("columns of b": dot products, whose lanes are added last). y's columns lie side by side; other strides as they
// like. Alignment: elements'. y overlaps no input. Each element is one sum in an order that depends on the vector's
// width alone.
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

THEW_DECLARE_TABLES(GemvEntry, gemv_table)

}  // namespace thew
