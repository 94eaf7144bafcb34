// Checks a softmax step and runs it.
#include "kernels/axes_plan.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/softmax/contract.hpp"
#include "kernels/strided.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<SoftmaxEntry>*> kTables THEW_TABLES(base, softmax_table);

class SoftmaxStep final : public Step {
public:
    SoftmaxStep(const SoftmaxEntry& entry, const SoftmaxArgs& args, int threads)
        : entry_(entry), args_(args), threads_(threads) {}

    std::size_t scratch_bytes() const override {
        return static_cast<std::size_t>(entry_.scratch_bytes(args_)) * static_cast<std::size_t>(threads_);
    }
    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        entry_.run(args_, inputs[0].data, outputs[0].data, workers, scratch);
    }

private:
    const SoftmaxEntry& entry_;
    SoftmaxArgs args_;
    int threads_;
};

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    require(desc.op == "softmax" || desc.op == "log_softmax", where(desc) + "op must be softmax or log_softmax");
    require_counts(desc, 1, 1);
    const Tensor &x = desc.inputs[0], &y = desc.outputs[0];
    require_dtype(desc, x, row.a, "x");
    require_dtype(desc, y, row.a, "y");
    require(same_shape(x, y), where(desc) + "y must have x's shape " + shape_text(x) + ", got " + shape_text(y));
    std::int64_t axis = desc.attributes.integer("axis", -1);
    require(axis >= -x.rank && axis < x.rank,
            where(desc) + "axis must lie in the " + std::to_string(x.rank) + " axes of x, got " + std::to_string(axis));
    axis += axis < 0 ? x.rank : 0;
    SoftmaxArgs args{desc.op == "log_softmax", {}, x.shape[axis], x.stride[axis], y.stride[axis]};
    for (int other = 0; other < x.rank; ++other) {
        if (other != axis) append_axis(args.others, x.shape[other], x.stride[other], y.stride[other]);
    }
    args.others = merged(args.others);
    return std::make_unique<SoftmaxStep>(entry_of(kTables, row), args, desc.threads);
}

}  // namespace

extern const Family softmax_family;
const Family softmax_family{"softmax", [] { return rows_of(kTables); }, make};

}  // namespace thew
