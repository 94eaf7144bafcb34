// Cache sizes as one thread may count on them: a cache shared by n cores, of which m run threads of ours, counts as an
// m-th of it. What the analytical blocking model reads (Low et al. 2016). Sources in order: Linux's description of the
// very CPU, CPUID, the table of Arm cores, a cautious guess.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace thew {

// In bytes; ways are those of the whole cache. A level that is absent has 0 bytes.
struct Caches {
    std::size_t l1_bytes, l1_ways, l2_bytes, l2_ways, l3_bytes_per_core, line_bytes;
    std::size_t l2_least_bytes;  // where all cores compute: what the order of sums may depend on, whatever `threads` is
};

inline constexpr int kEveryCore = 1 << 16;  // as many threads as there are cores

struct CacheLevel {  // a data or unified cache, whole
    int level;
    std::size_t bytes, ways, line_bytes;
    int shared_by;  // cores (not hardware threads)
};

// Of the strongest core that this process may use, asked once; `threads` compute at the same time.
Caches caches(int threads = kEveryCore);
Caches generic_caches();  // of a small core: what blocking is fixed to where it is not to be fitted

// The parts, for reports and tests. `root` stands before /sys and /proc.
std::vector<CacheLevel> cache_levels(int cpu, const std::string& root = "");
std::vector<CacheLevel> described_levels(int cpu, const std::string& root);  // by sysfs; empty where it is silent
std::vector<CacheLevel> cpuid_levels();                                      // empty off x86
Caches per_thread(const std::vector<CacheLevel>& levels, int threads = kEveryCore);

}  // namespace thew
