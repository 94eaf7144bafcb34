// The fused-multiply-add peak of one core, measured: what a share of peak is a share of. Independent chains fill the
// pipeline from registers alone, so nothing but the arithmetic is timed.
#pragma once

#include <cstdint>

#include "base/tensor.hpp"
#include "cpu/isa.hpp"

namespace thew {

// 10⁹ floating-point operations a second (a multiply-add is two) by the calling thread: the best of many short runs
// over `seconds`. 0 where this CPU lacks the ISA or the ISA was not compiled; fp32 and fp64 only (else 0).
double measure_peak_gflops(Isa isa, DType dtype, double seconds);

// What an ISA's unit exports: `steps` rounds of every chain, which leave their sum in `*sink`; operations a round.
struct PeakLoop {
    DType dtype;
    void (*run)(std::int64_t steps, double* sink);
    int flops_per_step;
};
struct PeakLoops {
    Isa isa;
    PeakLoop loops[2];
};

}  // namespace thew
