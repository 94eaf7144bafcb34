// Compiled once per ISA: chains of x ← x·a + b, as many as hide the latency of a multiply-add on two pipes (four on the
// widest Arm cores), which registers allow.
#include "simd/peak.hpp"
#include "simd/unroll.hpp"
#include "simd/vec.hpp"

namespace thew {
namespace {

constexpr int kChains = kVectorRegisters >= 32 ? 24 : 12;

template <class T>
void run_chains(std::int64_t steps, double* sink) {
    Vec<T> chain[kChains];
    // The chains tend to b / (1 - a) = 1: no overflow, no denormals.
    const Vec<T> a = splat(static_cast<T>(0.5)), b = splat(static_cast<T>(0.5));
    unroll<kChains>([&](auto i) THEW_FLAT { chain[i] = splat(static_cast<T>(i)); });
    for (std::int64_t step = 0; step < steps; ++step) {
        unroll<kChains>([&](auto i) THEW_FLAT { chain[i] = chain[i] * a + b; });
    }
    Vec<T> sum{};
    unroll<kChains>([&](auto i) THEW_FLAT { sum += chain[i]; });
    *sink = static_cast<double>(sum[0]);
}

template <class T>
constexpr PeakLoop loop_of(DType dtype) {
    return {dtype, run_chains<T>, 2 * kChains * kLanes<T>};
}

}  // namespace

namespace THEW_ISA {
extern const PeakLoops peak_loops;
const PeakLoops peak_loops{kIsa, {loop_of<float>(DType::fp32), loop_of<double>(DType::fp64)}};
}  // namespace THEW_ISA
}  // namespace thew
