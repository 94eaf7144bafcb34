// Memory nodes of the machine, and where memory is put that all threads read. On a machine of one node nothing is done.
//
// What a thread writes first lies on its node (Linux's own rule), which suits an arena: tiles are read by those who are
// near them, mostly. Packed weights are written once, by the thread that makes a program, and read by all: they are
// spread over the nodes page by page, so that no node's memory bounds them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace thew {

struct Node {
    int number;
    std::int64_t bytes;     // 0 where unknown
    std::vector<int> cpus;  // online, in rising order; empty for memory alone
};

// Nodes that have memory, in rising order; empty where the system does not tell. `root` stands before /sys.
std::vector<Node> describe_nodes(const std::string& root = "");

// The numbers of the nodes that are near some CPUs.
std::vector<int> nodes_of(const std::vector<Node>& nodes, const std::vector<int>& cpus);

// While it lives, pages that the calling thread is the first to write are spread over the nodes of some CPUs. Nothing
// happens where those are one node, where somebody has chosen a policy for this thread, or where the system refuses.
class Spread {
public:
    explicit Spread(const std::vector<int>& cpus);  // none: all that the process may use
    ~Spread();
    Spread(const Spread&) = delete;
    Spread& operator=(const Spread&) = delete;

private:
    bool is_set_ = false;
};

}  // namespace thew
