// Linux affinity masks of any length: the kernel refuses a mask shorter than its own, so the buffer grows until it
// fits.
#include "base/affinity.hpp"

#include <sched.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace thew {
namespace {

constexpr int kMostCpus = 1 << 16;

struct MaskFree {
    void operator()(cpu_set_t* mask) const { CPU_FREE(mask); }
};
using Mask = std::unique_ptr<cpu_set_t, MaskFree>;

// Keeps the calling thread on these CPUs; false where one is no CPU, or the system refuses.
bool keep_on(const std::vector<int>& cpus) {
    const auto [least, most] = std::minmax_element(cpus.begin(), cpus.end());
    if (cpus.empty() || *least < 0 || *most >= kMostCpus) return false;
    Mask mask(CPU_ALLOC(*most + 1));
    const std::size_t bytes = CPU_ALLOC_SIZE(*most + 1);
    if (!mask) return false;
    CPU_ZERO_S(bytes, mask.get());
    for (int cpu : cpus) CPU_SET_S(cpu, bytes, mask.get());
    return sched_setaffinity(0, bytes, mask.get()) == 0;
}

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

bool pin_thread(int cpu) { return keep_on({cpu}); }

Confined::Confined(const std::vector<int>& cpus) {
    if (cpus.empty()) return;
    std::vector<int> before = allowed_cpus();
    if (before != cpus && keep_on(cpus)) before_ = std::move(before);
}

Confined::~Confined() {
    if (!before_.empty()) keep_on(before_);
}

}  // namespace thew
