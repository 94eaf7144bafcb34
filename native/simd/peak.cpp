#include "simd/peak.hpp"

#include <algorithm>
#include <chrono>

#include "cpu/features.hpp"

namespace thew {

#define THEW_DECLARE(isa, ...)         \
    namespace isa {                    \
    extern const PeakLoops peak_loops; \
    }
THEW_EACH_ISA_base(THEW_DECLARE)
#undef THEW_DECLARE

    namespace {

#define THEW_ADDRESS(isa, ...) &isa::peak_loops,
    constexpr const PeakLoops* kCompiled[] = {THEW_EACH_ISA_base(THEW_ADDRESS)};
#undef THEW_ADDRESS

    double best_rate(const PeakLoop& loop, double seconds) {
        using Clock = std::chrono::steady_clock;
        constexpr std::int64_t kSteps = 20000;  // some tens of microseconds: shorter than a time slice
        const auto end = Clock::now() + std::chrono::duration<double>(seconds);
        double best = 0, sink = 0;
        do {
            const auto begin = Clock::now();
            loop.run(kSteps, &sink);
            const double taken = std::chrono::duration<double>(Clock::now() - begin).count();
            best = std::max(best, static_cast<double>(kSteps) * loop.flops_per_step / taken);
        } while (Clock::now() < end);
        return best;
    }

}  // namespace

double measure_peak_gflops(Isa isa, DType dtype, double seconds) {
    if (!supported(isa)) return 0;
    for (const PeakLoops* table : kCompiled) {
        for (const PeakLoop& loop : table->loops) {
            if (table->isa == isa && loop.dtype == dtype) return best_rate(loop, seconds) * 1e-9;
        }
    }
    return 0;
}

}  // namespace thew
