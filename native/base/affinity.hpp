// Which logical CPUs this process may run on, by its affinity mask.
#pragma once

#include <vector>

namespace thew {

std::vector<int> allowed_cpus();  // rising order; never empty
// Keeps the calling thread on one CPU; false where the system refuses.
bool pin_thread(int cpu);

// Keeps the calling thread on some CPUs for as long as it lives, and then gives the thread its old mask back. Without
// CPUs it does nothing.
class Confined {
public:
    explicit Confined(const std::vector<int>& cpus);
    ~Confined();
    Confined(const Confined&) = delete;
    Confined& operator=(const Confined&) = delete;

private:
    std::vector<int> before_;
};

}  // namespace thew
