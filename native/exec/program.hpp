// A plan made ready to run: steps bound to places in one arena, in constants and in the caller's arrays.
//
// A Program is filled by add() and closed by finish(); from then on it is immutable, and run() may be called from
// several threads at once: each run takes an arena of its own from a free list, and one more is made only when all are
// taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/aligned.hpp"
#include "base/pool.hpp"
#include "exec/trace.hpp"
#include "kernels/kernel.hpp"

namespace thew {

enum class Place : std::uint8_t { absent, arena, constant, state, external };

// Where a step finds a tensor: `tensor.data` is set for constants and for states (arrays of the caller's that outlive
// the program, and that its steps may write); for the arena and externals `offset_bytes` counts from the start of the
// arena or of external array `index`.
struct Operand {
    Place place = Place::absent;
    std::int64_t index = 0;
    std::int64_t offset_bytes = 0;
    Tensor tensor{};
};

// Code of the caller's that a run hands some operands to, between two kernels and on the thread that runs.
using Call = std::function<void(const std::vector<Tensor>& operands)>;

class Program {
public:
    explicit Program(Pool& pool) : pool_(pool) {}

    // Makes the step (packing its constants) and appends it. Returns, for every input, whether its constant may be
    // freed.
    std::vector<bool> add(StepDesc desc, std::vector<Operand> inputs, std::vector<Operand> outputs);

    // Appends a step that is a call; each operand must be dense, for the call sees bytes.
    void add_call(const std::string& name, Call call, std::vector<Operand> operands);

    // Closes the program; every arena operand must lie within `arena_bytes`, every external within its array's bytes.
    // Throws MemoryError where arena, scratch and packed weights together exceed `limit_bytes` (0: no limit).
    void finish(std::size_t arena_bytes, std::vector<std::size_t> external_bytes, std::size_t limit_bytes);

    // `externals`: one pointer an external array. With `seconds`, also writes the time of each step there; with
    // `trace`, also records who did what.
    void run(void* const* externals, double* seconds = nullptr, Trace* trace = nullptr) const;

    // Runs as often as there are parts, at once on the workers of `pool`: part p finds external array i at externals[i]
    // plus p times its bytes. A part is as one run; the program's own pool must be of one thread.
    void run_parts(void* const* externals, std::int64_t parts, Pool& pool) const;

    Workers workers() const { return pool_.workers(); }

    std::size_t step_count() const { return steps_.size(); }
    std::size_t external_count() const { return external_bytes_.size(); }
    std::size_t external_bytes(std::size_t index) const { return external_bytes_[index]; }
    std::size_t arena_bytes() const { return arena_bytes_; }      // without scratch
    std::size_t scratch_bytes() const { return scratch_bytes_; }  // the largest step's
    std::size_t packed_bytes() const { return packed_bytes_; }
    std::size_t arenas() const;  // how many exist: 1 + the most runs that ever overlapped

private:
    struct Bound {
        std::unique_ptr<Step> step;
        std::string name;
        std::vector<Operand> operands;  // inputs, then outputs
        std::size_t inputs;
        int threads;  // that run it: the pool's, or fewer
    };
    class Lease;

    AlignedBuffer take() const;
    void give(AlignedBuffer arena) const;
    void check_bounds(const Bound& bound, const Operand& operand) const;

    Pool& pool_;
    std::vector<Bound> steps_;
    std::vector<std::size_t> external_bytes_;
    std::size_t arena_bytes_ = 0, scratch_bytes_ = 0, packed_bytes_ = 0, most_operands_ = 0;
    mutable std::mutex mutex_;
    mutable std::vector<AlignedBuffer> free_;
    mutable std::size_t arenas_ = 0;
};

}  // namespace thew
