// Part numbers: Arm's and the vendors' technical reference manuals, as Linux's arch/arm64/include/asm/cputype.h lists
// them. Caches: the same manuals, and the commonest board where the core is configurable.
#include "cpu/midr.hpp"

#include <cstdlib>
#include <iterator>
#include <sstream>

#include "cpu/sysfs.hpp"

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace thew {
namespace {

constexpr std::size_t K = 1024, M = 1024 * K;
constexpr ArmCore kCores[] = {
    {0x41, 0xd03, "Cortex-A53", 32 * K, 4, 512 * K, 16, 4},  {0x41, 0xd04, "Cortex-A35", 32 * K, 4, 256 * K, 8, 4},
    {0x41, 0xd05, "Cortex-A55", 32 * K, 4, 128 * K, 4, 1},   {0x41, 0xd07, "Cortex-A57", 32 * K, 2, 2 * M, 16, 4},
    {0x41, 0xd08, "Cortex-A72", 32 * K, 2, 1 * M, 16, 4},    {0x41, 0xd09, "Cortex-A73", 64 * K, 16, 1 * M, 16, 4},
    {0x41, 0xd0a, "Cortex-A75", 64 * K, 16, 256 * K, 8, 1},  {0x41, 0xd0b, "Cortex-A76", 64 * K, 4, 512 * K, 8, 1},
    {0x41, 0xd0c, "Neoverse-N1", 64 * K, 4, 1 * M, 8, 1},    {0x41, 0xd0d, "Cortex-A77", 64 * K, 4, 256 * K, 8, 1},
    {0x41, 0xd40, "Neoverse-V1", 64 * K, 4, 1 * M, 8, 1},    {0x41, 0xd41, "Cortex-A78", 64 * K, 4, 512 * K, 8, 1},
    {0x41, 0xd42, "Cortex-A78AE", 64 * K, 4, 256 * K, 8, 1}, {0x41, 0xd44, "Cortex-X1", 64 * K, 4, 1 * M, 8, 1},
    {0x41, 0xd46, "Cortex-A510", 32 * K, 4, 128 * K, 8, 1},  {0x41, 0xd47, "Cortex-A710", 64 * K, 4, 512 * K, 8, 1},
    {0x41, 0xd48, "Cortex-X2", 64 * K, 4, 1 * M, 8, 1},      {0x41, 0xd49, "Neoverse-N2", 64 * K, 4, 1 * M, 8, 1},
    {0x41, 0xd4b, "Cortex-A78C", 64 * K, 4, 512 * K, 8, 1},  {0x41, 0xd4d, "Cortex-A715", 64 * K, 4, 512 * K, 8, 1},
    {0x41, 0xd4e, "Cortex-X3", 64 * K, 4, 1 * M, 8, 1},      {0x41, 0xd4f, "Neoverse-V2", 64 * K, 4, 2 * M, 8, 1},
    {0x41, 0xd80, "Cortex-A520", 32 * K, 4, 128 * K, 8, 1},  {0x41, 0xd81, "Cortex-A720", 64 * K, 4, 512 * K, 8, 1},
    {0x41, 0xd82, "Cortex-X4", 64 * K, 4, 2 * M, 8, 1},      {0x46, 0x001, "A64FX", 64 * K, 4, 8 * M, 16, 12},
    {0x48, 0xd01, "TaiShan-V110", 64 * K, 4, 512 * K, 8, 1}, {0x4e, 0x004, "Carmel", 64 * K, 4, 2 * M, 16, 2},
    {0x51, 0x001, "Oryon", 96 * K, 6, 12 * M, 12, 4},        {0x61, 0x022, "Icestorm", 64 * K, 8, 4 * M, 16, 4},
    {0x61, 0x023, "Firestorm", 128 * K, 8, 12 * M, 12, 4},   {0xc0, 0xac3, "Ampere-1", 64 * K, 4, 2 * M, 8, 1},
};

// The value of `field` in the block of /proc/cpuinfo that opens with `processor : cpu`.
std::uint32_t cpuinfo_field(const std::string& text, int cpu, const std::string& field) {
    std::istringstream lines(text);
    bool inside = false;
    for (std::string line; std::getline(lines, line);) {
        const auto colon = line.find(':');
        if (colon == std::string::npos) continue;
        const std::string value = line.substr(colon + 1);
        if (line.starts_with("processor")) inside = std::atoi(value.c_str()) == cpu;
        if (inside && line.starts_with(field)) {
            return static_cast<std::uint32_t>(std::strtoul(value.c_str(), nullptr, 0));
        }
    }
    return 0;
}

std::uint32_t own_register() {
#if defined(__aarch64__)
    constexpr unsigned long kCpuid = 1ul << 11;  // the kernel emulates the read
    if ((getauxval(AT_HWCAP) & kCpuid) != 0) {
        std::uint64_t midr = 0;
        asm("mrs %0, MIDR_EL1" : "=r"(midr));
        return static_cast<std::uint32_t>(midr);
    }
#endif
    return 0;
}

}  // namespace

std::uint32_t read_midr(int cpu, const std::string& root) {
    const std::string text =
        file_text(root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/regs/identification/midr_el1");
    if (!text.empty()) return static_cast<std::uint32_t>(std::strtoul(text.c_str(), nullptr, 16));
    const std::string cpuinfo = file_text(root + "/proc/cpuinfo");
    const std::uint32_t implementer = cpuinfo_field(cpuinfo, cpu, "CPU implementer");
    if (implementer != 0) return implementer << 24 | (cpuinfo_field(cpuinfo, cpu, "CPU part") & 0xfff) << 4;
    return root.empty() ? own_register() : 0;
}

const ArmCore* find_core(std::uint32_t midr) {
    for (const ArmCore& core : kCores) {
        if (core.implementer == midr >> 24 && core.part == ((midr >> 4) & 0xfff)) return &core;
    }
    return nullptr;
}

}  // namespace thew
