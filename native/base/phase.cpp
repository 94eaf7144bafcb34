#include "base/phase.hpp"

#include <utility>

namespace thew {
namespace {

thread_local PhaseSink* sink = nullptr;

}  // namespace

void enter_phase(Phase phase) {
    if (sink != nullptr) sink->enter(sink, phase);
}

PhaseSink* exchange_phase_sink(PhaseSink* other) { return std::exchange(sink, other); }

}  // namespace thew
