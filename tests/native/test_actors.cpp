// What actor threads and the learner share in native code, for the thread sanitizer: the pool, programs and their
// arenas, affinity. As an agent's round goes (`thew.rl`): actors make their frames, each by a run of one program, while
// the learner's program draws from the replay memory, gathers frames and writes priorities; what the actors made is
// stored after both. A frame holds its number, so that a frame torn or gone astray is seen.
#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "base/pool.hpp"
#include "check.hpp"
#include "cpu/features.hpp"
#include "exec/program.hpp"
#include "kernels/kernel.hpp"

namespace thew {
extern const Family move_family, sum_tree_family;

// The families that these programs need, in place of all (kernels/families.cpp).
std::unique_ptr<Step> make_step(const StepDesc& desc, bool dry) {
    for (const Family* family : {&move_family, &sum_tree_family}) {
        for (const Row* row : family->rows()) {
            if (row_name(*row) == desc.kernel) return family->make(desc, *row, dry);
        }
    }
    return nullptr;
}

namespace {

constexpr std::int64_t kSlots = 64, kBatch = 16, kHeight = 12, kWidth = 20, kPixels = kHeight * kWidth;
constexpr int kActors = 3, kRounds = 200;

// The row of a family for elements of a type, on the best ISA of this CPU.
std::string row_of(const Family& family, DType dtype) {
    std::string found;
    for (const Row* row : family.rows()) {
        if (row->a == dtype && supported(row->isa)) found = row_name(*row);
    }
    return found;
}

Tensor dense(void* data, DType dtype, std::vector<std::int64_t> shape) {
    Tensor tensor{data, dtype, static_cast<int>(shape.size()), {}, {}};
    std::int64_t stride = 1;
    for (std::size_t axis = shape.size(); axis-- > 0; stride *= shape[axis]) {
        tensor.shape[axis] = shape[axis], tensor.stride[axis] = stride;
    }
    return tensor;
}

Operand state(const Tensor& tensor) { return {Place::state, 0, 0, tensor}; }
Operand external(std::int64_t index, const Tensor& tensor) { return {Place::external, index, 0, tensor}; }
Operand arena(std::int64_t offset, const Tensor& tensor) { return {Place::arena, 0, offset, tensor}; }

StepDesc step(const std::string& kernel, const char* op) { return {kernel, op, op, {}, {}, {}, {}, 1, {}}; }

// The replay memory: a frame and a priority a slot.
struct Memory {
    std::vector<std::uint8_t> frames = std::vector<std::uint8_t>(kSlots * kPixels);
    std::vector<double> tree = std::vector<double>(2 * kSlots);

    Tensor frame_rows() { return dense(frames.data(), DType::uint8, {kSlots, kPixels}); }
    Tensor priorities() { return dense(tree.data(), DType::fp64, {2 * kSlots}); }
};

// A frame, turned twice: (h, w) → (w, h) in the arena → (h, w).
void fill_actor(Program& program) {
    const std::string copy = row_of(move_family, DType::uint8);
    Tensor turned = dense(nullptr, DType::uint8, {kWidth, kHeight});
    std::swap(turned.shape[0], turned.shape[1]);
    std::swap(turned.stride[0], turned.stride[1]);
    const Tensor frame = dense(nullptr, DType::uint8, {kHeight, kWidth});
    program.add(step(copy, "copy"), {external(0, frame)}, {arena(0, turned)});
    program.add(step(copy, "copy"), {arena(0, turned)}, {external(1, frame)});
    program.finish(kPixels, {kPixels, kPixels}, 0);
}

// draws, new priorities → slots, frames; the priorities are written over the old ones.
void fill_learner(Program& program, Memory& memory) {
    const std::string tree = row_of(sum_tree_family, DType::fp64);
    const Tensor numbers = dense(nullptr, DType::fp64, {kBatch}), slots = dense(nullptr, DType::int64, {kBatch});
    const Operand drawn = external(2, slots);
    program.add(step(tree, "sample_sum_tree"), {state(memory.priorities()), external(0, numbers)},
                {drawn, arena(0, numbers)});
    program.add(step(row_of(move_family, DType::uint8), "gather"), {state(memory.frame_rows()), drawn},
                {external(3, dense(nullptr, DType::uint8, {kBatch, kPixels}))});
    program.add(step(tree, "update_sum_tree"), {state(memory.priorities()), drawn, external(1, numbers)},
                {state(memory.priorities())});
    constexpr std::size_t kWords = kBatch * 8;
    program.finish(kWords, {kWords, kWords, kWords, kBatch * kPixels}, 0);
}

struct Learner {
    std::vector<double> draws = std::vector<double>(kBatch), priorities = std::vector<double>(kBatch);
    std::vector<std::int64_t> slots = std::vector<std::int64_t>(kBatch);
    std::vector<std::uint8_t> frames = std::vector<std::uint8_t>(kBatch * kPixels);

    void learn(const Program& program, int round, const std::vector<int>& stored) {
        for (std::size_t i = 0; i < draws.size(); ++i) {
            draws[i] = static_cast<double>((round * 7 + static_cast<int>(i) * 5) % 16) / 16;
            priorities[i] = 1 + static_cast<double>(i % 3);
        }
        void* externals[] = {draws.data(), priorities.data(), slots.data(), frames.data()};
        program.run(externals);
        for (std::size_t i = 0; i < slots.size(); ++i) {
            const auto slot = static_cast<std::size_t>(slots[i]);
            CHECK(slot < stored.size() && stored[slot] >= 0);
            const std::uint8_t* frame = frames.data() + i * kPixels;
            CHECK(std::all_of(frame, frame + kPixels, [&](std::uint8_t pixel) { return pixel == stored[slot] % 251; }));
        }
    }
};

// With several threads a run, all share the process's pool, as an agent's programs do.
void rounds(int threads) {
    Pool& pool = shared_pool(threads);
    Memory memory;
    Program actor(pool), learner(pool);
    fill_actor(actor);
    fill_learner(learner, memory);
    Learner learning;
    std::vector<int> stored(kSlots, -1);
    std::vector<std::vector<std::uint8_t>> made(kActors, std::vector<std::uint8_t>(kPixels));
    int number = 0;
    for (int round = 0; round < kRounds; ++round) {
        std::vector<std::thread> actors;
        for (int i = 0; i < kActors; ++i) {
            actors.emplace_back([&, i, own = number + i] {
                std::vector<std::uint8_t> screen(kPixels, static_cast<std::uint8_t>(own % 251));
                void* externals[] = {screen.data(), made[static_cast<std::size_t>(i)].data()};
                actor.run(externals);
            });
        }
        if (round > 0) learning.learn(learner, round, stored);
        for (std::thread& each : actors) each.join();
        for (const std::vector<std::uint8_t>& frame : made) {
            const auto slot = static_cast<std::size_t>(number % kSlots);
            std::copy(frame.begin(), frame.end(), memory.frames.begin() + static_cast<std::ptrdiff_t>(slot * kPixels));
            stored[slot] = number++;
            std::size_t node = kSlots + slot;
            memory.tree[node] = 1;
            while (node /= 2) memory.tree[node] = memory.tree[2 * node] + memory.tree[2 * node + 1];
        }
    }
    CHECK(actor.arenas() <= kActors);
}

}  // namespace
}  // namespace thew

int main() {
    for (int threads : {1, 2}) thew::rounds(threads);
    return thew::test::report("actors");
}
