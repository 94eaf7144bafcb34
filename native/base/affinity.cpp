// Linux affinity masks of any length: the kernel refuses a mask shorter than its own, so the buffer grows until it
// fits.
#include "base/affinity.hpp"

#include <sched.h>

#include <memory>

namespace thew {
namespace {

constexpr int kMostCpus = 1 << 16;

struct MaskFree {
    void operator()(cpu_set_t* mask) const { CPU_FREE(mask); }
};
using Mask = std::unique_ptr<cpu_set_t, MaskFree>;

}  // namespace

std::vector<int> allowed_cpus() {
    std::vector<int> cpus;
    for (int most = 1024; most <= kMostCpus && cpus.empty(); most *= 4) {
        Mask mask(CPU_ALLOC(most));
        const std::size_t bytes = CPU_ALLOC_SIZE(most);
        if (!mask) break;
        if (sched_getaffinity(0, bytes, mask.get()) != 0) continue;
        for (int cpu = 0; cpu < most; ++cpu) {
            if (CPU_ISSET_S(cpu, bytes, mask.get())) cpus.push_back(cpu);
        }
    }
    if (cpus.empty()) cpus.push_back(0);
    return cpus;
}

bool pin_thread(int cpu) {
    if (cpu < 0 || cpu >= kMostCpus) return false;
    Mask mask(CPU_ALLOC(cpu + 1));
    const std::size_t bytes = CPU_ALLOC_SIZE(cpu + 1);
    if (!mask) return false;
    CPU_ZERO_S(bytes, mask.get());
    CPU_SET_S(cpu, bytes, mask.get());
    return sched_setaffinity(0, bytes, mask.get()) == 0;
}

}  // namespace thew
