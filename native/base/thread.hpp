// What every thread of ours does first.
#pragma once

#include <string>

namespace thew {

// Gives the calling thread a name (of at most 15 bytes), and leaves signals to the threads that expect them, save those
// that a fault of its own raises.
void settle_thread(const std::string& name);

}  // namespace thew
