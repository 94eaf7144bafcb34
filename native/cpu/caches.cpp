// CPUID: Intel SDM vol. 2A leaf 4; AMD APM vol. 3 leaf 0x8000001D, which has the same layout.
#include "cpu/caches.hpp"

#include <unistd.h>

#include <algorithm>
#include <set>

#include "cpu/cores.hpp"
#include "cpu/midr.hpp"
#include "cpu/sysfs.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace thew {
namespace {

constexpr std::size_t kLine = 64;
// What no source describes is taken to be small: too small a block costs a little, too large a one thrashes.
constexpr CacheLevel kGuess[] = {{1, 32 * 1024, 4, kLine, 1}, {2, 256 * 1024, 8, kLine, 1}};

std::string cpu_folder(int cpu, const std::string& root) {
    return root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
}

// Hardware threads of one core count once.
int count_cores(const std::vector<int>& cpus, const std::string& root) {
    std::set<int> cores;
    for (int cpu : cpus) {
        const auto siblings = parse_list(file_text(cpu_folder(cpu, root) + "/topology/thread_siblings_list"));
        cores.insert(siblings.empty() ? cpu : siblings.front());
    }
    return std::max(1, static_cast<int>(cores.size()));
}

std::size_t positive(const std::string& text, std::size_t fallback) {
    const auto value = parse_size(text);
    return value && *value > 0 ? static_cast<std::size_t>(*value) : fallback;
}

std::vector<CacheLevel> table_levels(int cpu, const std::string& root) {
    const ArmCore* core = find_core(read_midr(cpu, root));
    if (core == nullptr) return {};
    return {{1, core->l1_bytes, core->l1_ways, kLine, 1},
            {2, core->l2_bytes, core->l2_ways, kLine, core->l2_shared_by}};
}

}  // namespace

std::vector<CacheLevel> described_levels(int cpu, const std::string& root) {
    constexpr int kMostIndices = 16;
    std::vector<CacheLevel> levels;
    for (int i = 0; i < kMostIndices; ++i) {
        const std::string folder = cpu_folder(cpu, root) + "/cache/index" + std::to_string(i);
        const std::string type = file_text(folder + "/type");
        const auto level = parse_size(file_text(folder + "/level"));
        const std::size_t bytes = positive(file_text(folder + "/size"), 0);
        if ((type != "Data" && type != "Unified") || !level || bytes == 0) continue;
        const std::size_t line = positive(file_text(folder + "/coherency_line_size"), kLine);
        const std::size_t sets = positive(file_text(folder + "/number_of_sets"), 0);
        const std::size_t derived = sets > 0 ? bytes / sets / line : 0;
        const std::size_t ways = positive(file_text(folder + "/ways_of_associativity"), derived);
        const int shared_by = count_cores(parse_list(file_text(folder + "/shared_cpu_list")), root);
        levels.push_back({static_cast<int>(*level), bytes, ways > 0 ? ways : 4, line, shared_by});
    }
    return levels;
}

std::vector<CacheLevel> cpuid_levels() {
    std::vector<CacheLevel> levels;
#if defined(__x86_64__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned kAmdTopology = 1u << 22;
    const bool amd = __get_cpuid(0x80000001, &a, &b, &c, &d) != 0 && (c & kAmdTopology) != 0;
    unsigned threads_per_core = 1;
    if (__get_cpuid_count(0xb, 0, &a, &b, &c, &d) != 0 && (b & 0xffff) > 0) threads_per_core = b & 0xffff;
    const int online = std::max(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
    for (unsigned i = 0; i < 16 && __get_cpuid_count(amd ? 0x8000001d : 4, i, &a, &b, &c, &d) != 0; ++i) {
        const unsigned type = a & 0x1f;  // 0 none, 1 data, 2 instructions, 3 unified
        if (type == 0) break;
        if (type == 2) continue;
        const std::size_t line = (b & 0xfff) + 1, partitions = ((b >> 12) & 0x3ff) + 1, ways = (b >> 22) + 1;
        const unsigned sharing = ((a >> 14) & 0xfff) + 1;  // room for that many threads, present or not
        const int cores = static_cast<int>(std::max(1u, sharing / threads_per_core));
        levels.push_back({static_cast<int>((a >> 5) & 7), ways * partitions * line * (std::size_t{c} + 1), ways, line,
                          std::min(cores, online)});
    }
#endif
    return levels;
}

std::vector<CacheLevel> cache_levels(int cpu, const std::string& root) {
    std::vector<CacheLevel> levels = described_levels(cpu, root);
    if (levels.empty() && root.empty()) levels = cpuid_levels();
    if (levels.empty()) levels = table_levels(cpu, root);
    if (levels.empty()) levels.assign(std::begin(kGuess), std::end(kGuess));
    return levels;
}

Caches per_thread(const std::vector<CacheLevel>& levels, int threads) {
    Caches caches{};
    caches.line_bytes = kLine;
    for (const CacheLevel& found : levels) {
        const std::size_t share = found.bytes / static_cast<std::size_t>(std::clamp(threads, 1, found.shared_by));
        if (found.level == 1) {
            caches.l1_bytes = share;
            caches.l1_ways = found.ways;
            caches.line_bytes = found.line_bytes;
        } else if (found.level == 2) {
            caches.l2_bytes = share;
            caches.l2_ways = found.ways;
            caches.l2_least_bytes = found.bytes / static_cast<std::size_t>(std::max(found.shared_by, 1));
        } else if (found.level == 3) {
            caches.l3_bytes_per_core = share;
        }
    }
    return caches;
}

Caches caches(int threads) {
    static const std::vector<CacheLevel> levels = cache_levels(describe_cpu().strongest());
    return per_thread(levels, threads);
}

Caches generic_caches() { return per_thread({std::begin(kGuess), std::end(kGuess)}); }

}  // namespace thew
