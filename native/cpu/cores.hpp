// The cores of this machine: which the process may use, how strong each is, and how much of them a container grants.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace thew {

struct Core {
    int cpu;                // logical number, as in an affinity mask
    std::string model;      // of an Arm core ("Cortex-A76"); empty elsewhere
    std::int64_t capacity;  // relative strength as the scheduler knows it (1024 the strongest); 0 where unknown
    std::int64_t max_khz;   // 0 where unknown
    int kind;               // 0 the strongest cores, 1 the next, …: big.LITTLE
    bool allowed;           // in the process's affinity mask
};

struct Cpu {
    std::string model;
    std::vector<Core> cores;  // those online, in rising order; never empty
    double quota;             // CPUs' worth of time that the control group grants; 0 where it sets no limit
    int strongest() const;    // a CPU of the strongest kind among those allowed
};

Cpu describe_cpu(const std::string& root = "");            // `root` stands before /sys and /proc
double control_group_quota(const std::string& root = "");  // both hierarchies, version 1 and 2

}  // namespace thew
