// AArch64 cores by their main identification register (implementer and part number), with the caches that the core
// usually comes with, for systems whose kernel describes none (Raspberry Pi OS before 2021, many boards).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace thew {

struct ArmCore {
    std::uint32_t implementer, part;
    const char* name;
    std::size_t l1_bytes, l1_ways, l2_bytes, l2_ways;
    int l2_shared_by;  // cores
};

// The MIDR of a CPU: from sysfs, else /proc/cpuinfo, else the register of the core that runs this; 0 where none tells.
// `root` stands before /sys and /proc (tests give a recorded tree).
std::uint32_t read_midr(int cpu, const std::string& root);
const ArmCore* find_core(std::uint32_t midr);  // null for a core that the table lacks

}  // namespace thew
