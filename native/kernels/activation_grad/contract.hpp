// activation_grad(dy, v): out[i] = dy[i] · f′, f the activation that attributes `activation` and
// `activation_parameters` name. f′ is taken from v, f's result where that tells it (relu, clip, elu, selu, sigmoid,
// hard_sigmoid, tanh), else its argument. Where f′ is 0 by a comparison, out is 0 whatever dy is.
//
// Any strides, broadcast as binary's; out may be exactly dy or v, and overlaps nothing else.
#pragma once

#include "kernels/leaf.hpp"
#include "kernels/table.hpp"

namespace thew {

struct ActivationGradParameters {
    double p[2];
};

THEW_DECLARE_TABLES(OpEntry, activation_grad_table)

}  // namespace thew
