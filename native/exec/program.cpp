#include "exec/program.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/affinity.hpp"
#include "base/error.hpp"
#include "cpu/nodes.hpp"

namespace thew {
namespace {

// First and one-past-last byte that a view reaches, relative to its data pointer. Empty views reach nothing.
std::pair<std::int64_t, std::int64_t> reach_bytes(const Tensor& tensor) {
    std::int64_t low = 0, high = 0;
    for (int axis = 0; axis < tensor.rank; ++axis) {
        if (tensor.shape[axis] == 0) return {0, 0};
        std::int64_t last = (tensor.shape[axis] - 1) * tensor.stride[axis];
        (last < 0 ? low : high) += last;
    }
    auto element = static_cast<std::int64_t>(dtype_bytes(tensor.dtype));
    return {low * element, (high + 1) * element};
}

std::size_t round_up(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

class CallStep final : public Step {
public:
    CallStep(Call call, std::size_t operands) : call_(std::move(call)), operands_(operands) {}
    void run(const Tensor* inputs, const Tensor*, const Workers&, std::byte*) const override {
        call_(std::vector<Tensor>(inputs, inputs + operands_));
    }

private:
    Call call_;
    std::size_t operands_;
};

bool is_dense(const Tensor& tensor) {
    std::int64_t span = 1;
    for (int axis = tensor.rank - 1; axis >= 0; --axis) {
        if (tensor.shape[axis] != 1 && tensor.stride[axis] != span) return false;
        span *= tensor.shape[axis];
    }
    return true;
}

}  // namespace

std::vector<bool> Program::add(StepDesc desc, std::vector<Operand> inputs, std::vector<Operand> outputs) {
    require(desc.threads >= 1 && desc.threads <= pool_.threads(), desc.name + ": threads must be at most the pool's");
    for (const Operand& operand : inputs) {
        desc.inputs.push_back(operand.tensor);
        desc.constant.push_back(operand.place == Place::constant);
    }
    for (const Operand& operand : outputs) desc.outputs.push_back(operand.tensor);
    std::optional<Spread> spread;  // of packed weights over memory nodes
    if (pool_.threads() > 1) spread.emplace(pool_.cpus());
    Bound bound{make_step(desc, false), desc.name, std::move(inputs), 0, desc.threads};
    spread.reset();
    bound.inputs = bound.operands.size();
    bound.operands.insert(bound.operands.end(), outputs.begin(), outputs.end());
    scratch_bytes_ = std::max(scratch_bytes_, round_up(bound.step->scratch_bytes()));
    packed_bytes_ += bound.step->packed_bytes();
    most_operands_ = std::max(most_operands_, bound.operands.size());
    std::vector<bool> freed(bound.inputs);
    for (std::size_t i = 0; i < bound.inputs; ++i) {
        Operand& operand = bound.operands[i];
        freed[i] = operand.place == Place::constant && bound.step->packs(i);
        if (freed[i]) operand.tensor.data = nullptr;
    }
    steps_.push_back(std::move(bound));
    return freed;
}

void Program::add_call(const std::string& name, Call call, std::vector<Operand> operands) {
    for (const Operand& operand : operands) {
        require(operand.place != Place::absent && is_dense(operand.tensor), name + ": a call's operands must be dense");
    }
    const std::size_t count = operands.size();
    most_operands_ = std::max(most_operands_, count);
    steps_.push_back({std::make_unique<CallStep>(std::move(call), count), name, std::move(operands), count, 1});
}

void Program::check_bounds(const Bound& bound, const Operand& operand) const {
    if (operand.place != Place::arena && operand.place != Place::external) return;
    std::size_t size = arena_bytes_;
    if (operand.place == Place::external) {
        require(operand.index >= 0 && static_cast<std::size_t>(operand.index) < external_bytes_.size(),
                bound.name + ": external index must be below " + std::to_string(external_bytes_.size()) + ", got " +
                    std::to_string(operand.index));
        size = external_bytes_[static_cast<std::size_t>(operand.index)];
    }
    auto [low, high] = reach_bytes(operand.tensor);
    if (low == high) return;  // no element
    require(operand.offset_bytes + low >= 0 && operand.offset_bytes + high <= static_cast<std::int64_t>(size),
            bound.name + ": operand must lie within " + std::to_string(size) + " bytes, got bytes " +
                std::to_string(operand.offset_bytes + low) + " to " + std::to_string(operand.offset_bytes + high));
}

void Program::finish(std::size_t arena_bytes, std::vector<std::size_t> external_bytes, std::size_t limit_bytes) {
    arena_bytes_ = round_up(arena_bytes);
    external_bytes_ = std::move(external_bytes);
    for (const Bound& bound : steps_) {
        for (const Operand& operand : bound.operands) check_bounds(bound, operand);
    }
    std::size_t total = arena_bytes_ + scratch_bytes_ + packed_bytes_;
    if (limit_bytes != 0 && total > limit_bytes) {
        throw MemoryError("plan: memory must be at most " + std::to_string(limit_bytes) + " bytes, got " +
                          std::to_string(total) + "; raise the limit or use smaller inputs");
    }
    give(take());  // the first arena exists before the first run
}

AlignedBuffer Program::take() const {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (!free_.empty()) {
            AlignedBuffer arena = std::move(free_.back());
            free_.pop_back();
            return arena;
        }
    }
    AlignedBuffer arena(arena_bytes_ + scratch_bytes_);
    std::lock_guard<std::mutex> lock(mutex_);
    ++arenas_;
    free_.reserve(arenas_);  // so that give() cannot fail
    return arena;
}

void Program::give(AlignedBuffer arena) const {
    std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(arena));
}

std::size_t Program::arenas() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return arenas_;
}

// An arena for the length of one run, given back also when a step throws.
class Program::Lease {
public:
    explicit Lease(const Program& program) : program_(program), arena_(program.take()) {}
    ~Lease() { program_.give(std::move(arena_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    std::byte* data() { return arena_.data(); }

private:
    const Program& program_;
    AlignedBuffer arena_;
};

void Program::run(void* const* externals, double* seconds, Trace* trace) const {
    const Confined confined(pool_.cpus());
    Lease arena(*this);
    // Scratch first: it is what is used the most, and an allocation's end has no large page.
    std::byte *scratch = arena.data(), *places = scratch + scratch_bytes_;
    constexpr std::size_t kFew = 16;
    Tensor few[kFew];
    std::vector<Tensor> many(most_operands_ > kFew ? most_operands_ : 0);
    Tensor* tensors = many.empty() ? few : many.data();
    using Clock = std::chrono::steady_clock;
    auto before = seconds ? Clock::now() : Clock::time_point{};
    for (const Bound& bound : steps_) {
        for (std::size_t i = 0; i < bound.operands.size(); ++i) {
            const Operand& operand = bound.operands[i];
            tensors[i] = operand.tensor;
            if (operand.place == Place::arena) tensors[i].data = places + operand.offset_bytes;
            if (operand.place == Place::external) {
                tensors[i].data = static_cast<std::byte*>(externals[operand.index]) + operand.offset_bytes;
            }
        }
        {
            std::optional<Trace::Step> traced;
            if (trace) traced.emplace(*trace, static_cast<std::int32_t>(&bound - steps_.data()));
            const Workers workers = pool_.workers(bound.threads);
            bound.step->run(tensors, tensors + bound.inputs, trace ? trace->workers(workers) : workers, scratch);
        }
        if (seconds) {
            auto after = Clock::now();
            *seconds++ = std::chrono::duration<double>(after - before).count();
            before = after;
        }
    }
}

void Program::run_parts(void* const* externals, std::int64_t parts, Pool& pool) const {
    const Confined confined(pool.cpus());
    auto body = [&](std::int64_t part, int) {
        std::vector<void*> own(external_bytes_.size());
        for (std::size_t i = 0; i < own.size(); ++i) {
            own[i] = static_cast<std::byte*>(externals[i]) + static_cast<std::size_t>(part) * external_bytes_[i];
        }
        run(own.data());
    };
    parallel_for(pool.workers(), parts, body);
}

}  // namespace thew
