// Checks a sum tree's operands, and its slots at every run.
#include <cstring>
#include <string>

#include "kernels/dispatch.hpp"
#include "kernels/strided.hpp"
#include "kernels/sum_tree/contract.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<SumTreeEntry>*> kTables THEW_TABLES(base, sum_tree_table);

void require_vector(const StepDesc& desc, const Tensor& vector, DType dtype, const char* what) {
    require_dtype(desc, vector, dtype, what);
    require(vector.rank == 1 && (vector.shape[0] <= 1 || vector.stride[0] == 1),
            where(desc) + what + " must be a dense vector, got " + shape_text(vector));
}

class SumTreeStep : public Step {
public:
    SumTreeStep(const StepDesc& desc, const SumTreeEntry& entry)
        : entry_(entry), where_(where(desc)), leaves_(desc.inputs[0].shape[0] / 2), count_(desc.inputs[1].shape[0]) {}

protected:
    const SumTreeEntry& entry_;
    std::string where_;
    std::int64_t leaves_, count_;
};

class SampleStep final : public SumTreeStep {
public:
    using SumTreeStep::SumTreeStep;

    void run(const Tensor* inputs, const Tensor* outputs, const Workers&, std::byte*) const override {
        entry_.sample(static_cast<const double*>(inputs[0].data), leaves_, static_cast<const double*>(inputs[1].data),
                      count_, static_cast<std::int64_t*>(outputs[0].data), static_cast<double*>(outputs[1].data));
    }
};

class UpdateStep final : public SumTreeStep {
public:
    using SumTreeStep::SumTreeStep;

    void run(const Tensor* inputs, const Tensor* outputs, const Workers&, std::byte*) const override {
        const auto* slots = static_cast<const std::int64_t*>(inputs[1].data);
        for (std::int64_t i = 0; i < count_; ++i) {
            if (slots[i] < 0 || slots[i] >= leaves_) {
                throw Error(where_ + "slots must be within [0, " + std::to_string(leaves_ - 1) + "], got " +
                            std::to_string(slots[i]) + "; check the tensor that feeds them");
            }
        }
        auto* tree = static_cast<double*>(outputs[0].data);
        if (tree != inputs[0].data) {
            std::memcpy(tree, inputs[0].data, static_cast<std::size_t>(2 * leaves_) * sizeof(double));
        }
        entry_.update(tree, leaves_, slots, static_cast<const double*>(inputs[2].data), count_);
    }
};

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    const bool samples = desc.op == "sample_sum_tree";
    require(samples || desc.op == "update_sum_tree", where(desc) + "op must be sample_sum_tree or update_sum_tree");
    require_counts(desc, samples ? 2 : 3, samples ? 2 : 3, samples ? 2 : 1);
    require_vector(desc, desc.inputs[0], DType::fp64, "the tree");
    require(desc.inputs[0].shape[0] >= 2 && desc.inputs[0].shape[0] % 2 == 0,
            where(desc) + "a tree must have two numbers a leaf, got " + shape_text(desc.inputs[0]));
    const Tensor &slots = samples ? desc.outputs[0] : desc.inputs[1], &numbers = desc.inputs[samples ? 1 : 2];
    require_vector(desc, slots, DType::int64, "slots");
    require_vector(desc, numbers, DType::fp64, samples ? "draws" : "values");
    require(same_shape(slots, numbers),
            where(desc) + "slots must be as many as numbers, got " + shape_text(slots) + " and " + shape_text(numbers));
    const SumTreeEntry& entry = entry_of(kTables, row);
    const Tensor& last = desc.outputs[samples ? 1 : 0];
    require_vector(desc, last, DType::fp64, samples ? "shares" : "the next tree");
    require(same_shape(last, samples ? numbers : desc.inputs[0]),
            where(desc) + "shares must be as many as slots, and a tree as large as the one before");
    if (samples) return std::make_unique<SampleStep>(desc, entry);
    return std::make_unique<UpdateStep>(desc, entry);
}

}  // namespace

extern const Family sum_tree_family;
const Family sum_tree_family{"sum_tree", [] { return rows_of(kTables); }, make};

}  // namespace thew
