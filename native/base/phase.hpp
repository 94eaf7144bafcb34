// What a worker is busy with inside a tile, told by kernels for traces: the part that packs operands, the part that
// transforms them (Winograd), and all else, which is computing. Plain functions, so that kernel units may include it.
#pragma once

#include <cstdint>

namespace thew {

enum class Phase : std::uint8_t { compute, pack, transform };

// Who wants to know, on one thread.
struct PhaseSink {
    void (*enter)(PhaseSink* self, Phase phase);
};

// From now on the calling thread is in `phase`, until it says otherwise or its tile ends. Where nobody traces this
// costs a call that returns at once: meant for blocks, not for inner loops.
void enter_phase(Phase phase);

// Sets who is told of the calling thread's phases; returns who was.
PhaseSink* exchange_phase_sink(PhaseSink* sink);

}  // namespace thew
