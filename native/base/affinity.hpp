// Which logical CPUs this process may run on, by its affinity mask.
#pragma once

#include <vector>

namespace thew {

std::vector<int> allowed_cpus();  // rising order; never empty
// Keeps the calling thread on one CPU; false where the system refuses.
bool pin_thread(int cpu);

}  // namespace thew
