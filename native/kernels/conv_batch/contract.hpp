// Convolutions of images that lie innermost in memory: the batch stride is 1, and a vector holds one pixel of as many
// images as it has lanes. What few channels waste elsewhere is not there: every lane works, a weight is one number for
// all lanes, and taps outside the image are left out. The equations are conv's (kernels/conv/contract.hpp), groups
// apart:
//
//   conv              y = activation( Σ x·w + bias )                    registers: channels × pixels of y
//   conv_grad_input   the same loops over dy with turned weights        (kernels/conv/reach.hpp)
//   conv_grad_weight  dw[o, c, kh, kw] = Σ dy·x                         registers: channels of dy × taps along w
//
// x, y, dy, dx: batch stride 1, a batch of whole vectors, other strides as they like; w, dw and bias: any strides.
// Alignment: elements'. Outputs overlap no input. Each element is one sum in a fixed order, whatever the number of
// threads.
#pragma once

#include "base/tensor.hpp"
#include "base/workers.hpp"
#include "kernels/activation.hpp"
#include "kernels/table.hpp"

namespace thew {

struct BatchConv {
    std::int64_t n, c, oc;  // c of x, oc of y; turned around in the gradient of the input
    std::int64_t in_h, in_w, out_h, out_w;
    std::int64_t kh, kw, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    std::int64_t x_n, x_c, x_h, x_w, y_n, y_c, y_h, y_w;  // strides in elements; of dy where y is not at hand
    std::int64_t w_o, w_c, w_h, w_w;                      // of w, or of dw
    std::int64_t bias_stride;
    Epilogue epilogue;
};

struct BatchConvEntry {
    Row row;
    int lanes;
    // w rearranged for run(): oc·c·kh·kw elements.
    void (*pack)(const BatchConv& conv, const void* w, void* packed);
    void (*run)(const BatchConv& conv, const void* x, const void* packed, const void* bias, void* y,
                const Workers& workers);
    void (*grad_weight)(const BatchConv& conv, const void* dy, const void* x, void* dw, const Workers& workers);
};

THEW_DECLARE_TABLES(BatchConvEntry, conv_batch_table)

}  // namespace thew
