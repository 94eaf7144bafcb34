// Convolutions of few channels and few images: a vector holds neighbouring pixels of a row, so that neither channels
// nor images need fill it. Equations and operands are those of kernels/conv_batch/contract.hpp, at stride 1:
//
//   conv              y = activation( Σ x·w + bias )              registers: channels × vectors of pixels of y
//   conv_grad_input   the same loops over dy with turned weights  (kernels/conv/reach.hpp)
//   conv_grad_weight  dw[o, c, kh, kw] = Σ dy·x                   registers: channels of dy × taps along w
//
// x and, for the gradient of the weights, dy are first copied with their padding, so that loops over taps have no
// edges. x, y, dy, dx: stride 1 along w, others as they like; w and bias: any strides; dw: (kh, kw) dense. Alignment:
// elements'. Outputs overlap no input. Each element is one sum in an order that depends on the vector's width alone.
#pragma once

#include "kernels/conv_batch/contract.hpp"

namespace thew {

struct PlaneConvEntry {
    Row row;
    std::int64_t (*scratch_bytes)(const BatchConv& conv);
    std::int64_t (*grad_weight_scratch_bytes)(const BatchConv& conv, int threads);
    void (*run)(const BatchConv& conv, const void* x, const void* w, const void* bias, void* y, const Workers& workers,
                std::byte* scratch);
    void (*grad_weight)(const BatchConv& conv, const void* dy, const void* x, void* dw, const Workers& workers,
                        std::byte* scratch);
};

THEW_DECLARE_TABLES(PlaneConvEntry, conv_planes_table)

}  // namespace thew
