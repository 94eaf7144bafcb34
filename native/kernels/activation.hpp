// The activation that a kernel may apply to its result while it is in registers: plain data, shared by the plan side
// (which parses a step's attributes) and the kernel units (which switch on it once a tile, never once an element).
//
// p0 and p1 by activation: clip lo, hi; leaky_relu and elu alpha, unused; hard_sigmoid alpha, beta; others unused.
#pragma once

#include <cstdint>

namespace thew {

enum class Activation : std::uint8_t {
    none,
    relu,
    clip,
    leaky_relu,
    hard_swish,
    hard_sigmoid,
    sigmoid,
    silu,
    tanh,
    gelu,
    elu,
};

struct Epilogue {
    Activation activation;
    double p0, p1;
};

}  // namespace thew
