// What cpu/ reads from a machine's description, against trees written here after real machines: a Raspberry Pi 4 whose
// kernel describes no caches, a big.LITTLE phone, an SMT server with a shared L3; and control groups of both versions.
// Then the machine at hand, where only what must hold of any machine is asked.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "base/affinity.hpp"
#include "check.hpp"
#include "cpu/caches.hpp"
#include "cpu/cores.hpp"
#include "cpu/features.hpp"
#include "cpu/nodes.hpp"
#include "cpu/sysfs.hpp"
#include "simd/peak.hpp"

namespace {

namespace fs = std::filesystem;
using Files = std::vector<std::pair<std::string, std::string>>;

// A directory tree that lives as long as the object.
class Tree {
public:
    explicit Tree(const Files& files) {
        std::string pattern = (fs::temp_directory_path() / "thew-tree-XXXXXX").string();
        root_ = mkdtemp(pattern.data());
        for (const auto& [path, text] : files) {
            fs::create_directories((root_ / path).parent_path());
            std::ofstream(root_ / path) << text << "\n";
        }
    }
    ~Tree() { fs::remove_all(root_); }
    Tree(const Tree&) = delete;
    Tree& operator=(const Tree&) = delete;
    std::string root() const { return root_.string(); }

private:
    fs::path root_;
};

const std::string kCpu = "sys/devices/system/cpu/";

void cache_files(Files& files, int cpu, int index, const std::string& type, int level, const std::string& size,
                 const std::string& ways, const std::string& shared) {
    const std::string folder = kCpu + "cpu" + std::to_string(cpu) + "/cache/index" + std::to_string(index) + "/";
    files.insert(files.end(), {{folder + "type", type},
                               {folder + "level", std::to_string(level)},
                               {folder + "size", size},
                               {folder + "ways_of_associativity", ways},
                               {folder + "coherency_line_size", "64"},
                               {folder + "shared_cpu_list", shared}});
}

void silent_board_uses_the_table() {
    Files files{{kCpu + "online", "0-3"}};
    std::string cpuinfo;
    for (int cpu = 0; cpu < 4; ++cpu) {
        cpuinfo += "processor\t: " + std::to_string(cpu) + "\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\n";
    }
    files.push_back({"proc/cpuinfo", cpuinfo});
    Tree tree(files);
    const thew::Caches caches = thew::per_thread(thew::cache_levels(3, tree.root()));
    CHECK(caches.l1_bytes == 32 * 1024 && caches.l1_ways == 2);
    CHECK(caches.l2_bytes == 256 * 1024 && caches.l2_ways == 16);  // 1 MB shared by four
    CHECK(thew::per_thread(thew::cache_levels(3, tree.root()), 1).l2_bytes == 1024 * 1024);
    CHECK(thew::per_thread(thew::cache_levels(3, tree.root()), 2).l2_bytes == 512 * 1024);
    CHECK(thew::per_thread(thew::cache_levels(3, tree.root()), 1).l2_least_bytes == 256 * 1024);
    CHECK(caches.l3_bytes_per_core == 0 && caches.line_bytes == 64);
    const thew::Cpu cpu = thew::describe_cpu(tree.root());
    CHECK(cpu.model == "Cortex-A72" && cpu.cores.size() == 4 && cpu.cores[3].kind == 0);
}

void big_little_has_kinds() {
    Files files{{kCpu + "online", "0-7"}};
    for (int cpu = 0; cpu < 8; ++cpu) {
        const std::string folder = kCpu + "cpu" + std::to_string(cpu) + "/";
        const bool prime = cpu == 7, little = cpu < 4;
        files.push_back({folder + "cpu_capacity", prime ? "1024" : little ? "250" : "720"});
        files.push_back({folder + "regs/identification/midr_el1", prime    ? "0x00000000411fd440"
                                                                  : little ? "0x00000000412fd050"
                                                                           : "0x00000000411fd410"});
    }
    Tree tree(files);
    const thew::Cpu cpu = thew::describe_cpu(tree.root());
    CHECK(cpu.cores.size() == 8);
    CHECK(cpu.cores[7].kind == 0 && cpu.cores[5].kind == 1 && cpu.cores[0].kind == 2);
    CHECK(cpu.cores[7].model == "Cortex-X1" && cpu.cores[0].model == "Cortex-A55");
    CHECK(cpu.model == "Cortex-A55 + Cortex-A78 + Cortex-X1");
    for (int one = 0; one < 8; ++one) CHECK(cpu.cores[static_cast<std::size_t>(one)].cpu == one);
}

void favoured_cores_are_of_one_kind() {
    Files files{{kCpu + "online", "0-1"},
                {kCpu + "cpu0/cpufreq/cpuinfo_max_freq", "5200000"},
                {kCpu + "cpu1/cpufreq/cpuinfo_max_freq", "5000000"}};
    Tree tree(files);
    const thew::Cpu cpu = thew::describe_cpu(tree.root());
    CHECK(cpu.cores[0].kind == 0 && cpu.cores[1].kind == 0 && cpu.cores[1].max_khz == 5000000);
}

void shared_cache_is_divided_by_cores() {
    Files files;
    for (int cpu = 0; cpu < 8; ++cpu) {  // four cores of two threads: (0, 4), (1, 5), …
        const std::string siblings = std::to_string(cpu % 4) + "," + std::to_string(cpu % 4 + 4);
        files.push_back({kCpu + "cpu" + std::to_string(cpu) + "/topology/thread_siblings_list", siblings});
        cache_files(files, cpu, 0, "Data", 1, "48K", "12", siblings);
        cache_files(files, cpu, 1, "Instruction", 1, "32K", "8", siblings);
        cache_files(files, cpu, 2, "Unified", 2, "2048K", "16", siblings);
        cache_files(files, cpu, 3, "Unified", 3, "32M", "16", "0-7");
    }
    Tree tree(files);
    const thew::Caches caches = thew::per_thread(thew::cache_levels(5, tree.root()));
    CHECK(caches.l1_bytes == 48 * 1024 && caches.l1_ways == 12);
    CHECK(caches.l2_bytes == 2048 * 1024);
    CHECK(caches.l3_bytes_per_core == std::size_t{8} * 1024 * 1024);
}

void nothing_known_is_guessed() {
    Tree tree(Files{{"proc/cpuinfo", "Features\t: fp asimd"}});
    const thew::Caches caches = thew::per_thread(thew::cache_levels(0, tree.root()));
    CHECK(caches.l1_bytes > 0 && caches.l1_ways > 0 && caches.l2_bytes > 0 && caches.l2_ways > 0);
    CHECK(!thew::describe_cpu(tree.root()).cores.empty());
}

void nodes_have_memory_and_cpus() {
    const std::string folder = "sys/devices/system/node/";
    Tree tree(Files{{folder + "has_memory", "0-2"},
                    {folder + "online", "0-3"},
                    {folder + "node0/cpulist", "0-3,8-11"},
                    {folder + "node0/meminfo", "Node 0 MemTotal:       32768 kB\nNode 0 MemFree:        1024 kB"},
                    {folder + "node1/cpulist", "4-7,12-15"},
                    {folder + "node2/meminfo", "Node 2 MemTotal:       oops kB"}});  // memory without a CPU near it
    const std::vector<thew::Node> nodes = thew::describe_nodes(tree.root());
    CHECK(nodes.size() == 3 && nodes[1].number == 1 && nodes[2].cpus.empty());
    CHECK(nodes[0].bytes == std::int64_t{32} << 20 && nodes[1].bytes == 0 && nodes[2].bytes == 0);
    CHECK(nodes[0].cpus.size() == 8 && nodes[0].cpus[4] == 8);
    CHECK(thew::nodes_of(nodes, {1, 9}) == std::vector<int>{0});
    CHECK((thew::nodes_of(nodes, {0, 15}) == std::vector<int>{0, 1}) && thew::nodes_of(nodes, {}).empty());
    CHECK(thew::describe_nodes(Tree(Files{}).root()).empty());
    const thew::Spread anywhere({});  // of this machine: whatever it has, memory can be written
    CHECK(std::vector<int>(1 << 20, 1).back() == 1);
}

void quotas() {
    const std::string group = "sys/fs/cgroup/";
    Tree second(Files{{"proc/self/cgroup", "0::/a/b"},
                      {group + "a/cpu.max", "150000 100000"},
                      {group + "a/b/cpu.max", "max 100000"}});
    CHECK(thew::control_group_quota(second.root()) == 1.5);
    Tree first(Files{{"proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/x"},
                     {group + "cpu/x/cpu.cfs_quota_us", "50000"},
                     {group + "cpu/x/cpu.cfs_period_us", "100000"},
                     {group + "cpu/cpu.cfs_quota_us", "-1"},
                     {group + "cpu/cpu.cfs_period_us", "100000"}});
    CHECK(thew::control_group_quota(first.root()) == 0.5);
    Tree none(Files{{"proc/self/cgroup", "0::/"}});
    CHECK(thew::control_group_quota(none.root()) == 0);
}

void parsing() {
    CHECK(thew::parse_size("32K") == 32768 && thew::parse_size("7") == 7 && thew::parse_size("2M") == 2097152);
    for (const char* text : {"", "K", "-4", "12Q", "99999999999999999999", "1KB"}) CHECK(!thew::parse_size(text));
    CHECK((thew::parse_list("0-2,5") == std::vector<int>{0, 1, 2, 5}));
    for (const char* text : {"", "3-1", "x", "1,,2", "0-99999999", "1-"}) CHECK(thew::parse_list(text).empty());
}

void this_machine() {
    const thew::Cpu cpu = thew::describe_cpu();
    CHECK(!cpu.cores.empty() && !cpu.model.empty());
    const thew::Caches caches = thew::caches();
    CHECK(caches.l1_bytes >= 8 * 1024 && caches.l1_ways >= 1 && caches.l2_ways >= 1);
    CHECK(caches.l2_bytes >= caches.l1_bytes / 2 && caches.line_bytes >= 32);
    // Two sources that know nothing of each other: the kernel's description and CPUID.
    const auto told = thew::described_levels(cpu.strongest(), ""), asked = thew::cpuid_levels();
    for (std::size_t i = 0; i < told.size() && i < asked.size(); ++i) {
        CHECK(told[i].level == asked[i].level && told[i].bytes == asked[i].bytes && told[i].ways == asked[i].ways);
    }
#if defined(__x86_64__)
    __builtin_cpu_init();
    CHECK(thew::has_feature("avx2") == (__builtin_cpu_supports("avx2") != 0));
    CHECK(thew::has_feature("avx512_vnni") == (__builtin_cpu_supports("avx512vnni") != 0));
    CHECK(thew::supported(thew::Isa::x86_64_v2) && !thew::supported(thew::Isa::neon));
    const thew::Isa isa = thew::Isa::x86_64_v2;
#else
    CHECK(thew::supported(thew::Isa::neon) && !thew::supported(thew::Isa::avx2));
    const thew::Isa isa = thew::Isa::neon;
#endif
    CHECK(thew::measure_peak_gflops(isa, thew::DType::fp32, 0.01) > 0);
    CHECK(thew::measure_peak_gflops(isa, thew::DType::int8, 0.01) == 0);
}

void print_machine() {
    for (const thew::Isa isa : thew::supported_isas()) {
        const auto rate = [&](thew::DType dtype) { return thew::measure_peak_gflops(isa, dtype, 0.5); };
        std::printf("%s: fp32 %.1f, fp64 %.1f GFLOP/s\n", thew::isa_name(isa), rate(thew::DType::fp32),
                    rate(thew::DType::fp64));
    }
    for (const thew::Feature& feature : thew::features()) {
        if (feature.present) std::printf("%s ", feature.name);
    }
    const thew::Caches caches = thew::caches();
    std::printf("\nL1 %zu, L2 %zu, L3 share %zu bytes\n", caches.l1_bytes, caches.l2_bytes, caches.l3_bytes_per_core);
}

}  // namespace

int main(int count, char** arguments) {
    if (count > 1 && std::string(arguments[1]) == "print") {
        print_machine();
        return 0;
    }
    silent_board_uses_the_table();
    big_little_has_kinds();
    favoured_cores_are_of_one_kind();
    shared_cache_is_divided_by_cores();
    nothing_known_is_guessed();
    nodes_have_memory_and_cpus();
    quotas();
    parsing();
    this_machine();
    return thew::test::report("cpu");
}
