// The policy is set by the system call itself, so that libnuma need not be there; the numbers are those of Linux's ABI.
#include "cpu/nodes.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "base/affinity.hpp"
#include "cpu/sysfs.hpp"

namespace thew {
namespace {

constexpr int kDefaultPolicy = 0, kInterleave = 3;
constexpr std::size_t kMostNodes = 1024, kWordBits = 8 * sizeof(unsigned long);
using Mask = std::array<unsigned long, kMostNodes / kWordBits>;

// "Node 0 MemTotal:  32768 kB" among other lines.
std::int64_t memory_bytes(const std::string& meminfo) {
    std::istringstream lines(meminfo);
    for (std::string line; std::getline(lines, line);) {
        const auto at = line.find("MemTotal:");
        if (at == std::string::npos) continue;
        std::int64_t kilobytes = 0;
        std::istringstream(line.substr(at + 9)) >> kilobytes;
        return std::max<std::int64_t>(kilobytes, 0) << 10;
    }
    return 0;
}

}  // namespace

std::vector<Node> describe_nodes(const std::string& root) {
    const std::string folder = root + "/sys/devices/system/node/";
    std::vector<Node> nodes;
    for (int number : parse_list(file_text(folder + "has_memory"))) {
        const std::string one = folder + "node" + std::to_string(number);
        nodes.push_back({number, memory_bytes(file_text(one + "/meminfo")), parse_list(file_text(one + "/cpulist"))});
    }
    return nodes;
}

std::vector<int> nodes_of(const std::vector<Node>& nodes, const std::vector<int>& cpus) {
    std::vector<int> found;
    for (const Node& node : nodes) {
        const auto is_near = [&](int cpu) { return std::find(cpus.begin(), cpus.end(), cpu) != cpus.end(); };
        if (std::any_of(node.cpus.begin(), node.cpus.end(), is_near)) found.push_back(node.number);
    }
    return found;
}

Spread::Spread(const std::vector<int>& cpus) {
    static const std::vector<Node> nodes = describe_nodes();
    if (nodes.size() < 2) return;
    int policy = kDefaultPolicy;
    if (syscall(SYS_get_mempolicy, &policy, nullptr, 0, nullptr, 0) != 0 || policy != kDefaultPolicy) return;
    Mask mask{};
    int count = 0;
    for (int number : nodes_of(nodes, cpus.empty() ? allowed_cpus() : cpus)) {
        const auto bit = static_cast<std::size_t>(number);
        if (bit >= kMostNodes) continue;
        mask[bit / kWordBits] |= 1ul << bit % kWordBits;
        ++count;
    }
    is_set_ = count > 1 && syscall(SYS_set_mempolicy, kInterleave, mask.data(), kMostNodes) == 0;
}

Spread::~Spread() {
    if (is_set_) syscall(SYS_set_mempolicy, kDefaultPolicy, nullptr, 0);
}

}  // namespace thew
