// Checks a reduction, sorts its axes into kept and reduced ones, and runs it.
#include <map>

#include "kernels/axes_plan.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/reduce/contract.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<ReduceEntry>*> kTables THEW_TABLES(base, reduce_table);

const std::map<std::string, ReduceOp> kOps{
    {"reduce_sum", ReduceOp::sum},         {"reduce_mean", ReduceOp::mean},
    {"reduce_max", ReduceOp::max},         {"reduce_min", ReduceOp::min},
    {"reduce_prod", ReduceOp::prod},       {"reduce_l1", ReduceOp::l1},
    {"reduce_l2", ReduceOp::l2},           {"reduce_sum_square", ReduceOp::sum_square},
    {"reduce_log_sum", ReduceOp::log_sum}, {"reduce_log_sum_exp", ReduceOp::log_sum_exp},
    {"arg_max", ReduceOp::arg_max},        {"arg_min", ReduceOp::arg_min},
};

class ReduceStep final : public Step {
public:
    ReduceStep(const ReduceEntry& entry, const ReduceArgs& args) : entry_(entry), args_(args) {}
    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte*) const override {
        entry_.run(args_, inputs[0].data, outputs[0].data, workers);
    }

private:
    const ReduceEntry& entry_;
    ReduceArgs args_;
};

// Which axes of x are reduced: `axes`, or `axis` for arg_max and arg_min.
std::vector<bool> reduced_axes(const StepDesc& desc, bool finds_place) {
    const Tensor& x = desc.inputs[0];
    const std::vector<std::int64_t> axes =
        finds_place ? std::vector<std::int64_t>{desc.attributes.integer("axis", 0)} : desc.attributes.ints("axes");
    std::vector<bool> reduced(static_cast<std::size_t>(x.rank));
    for (std::int64_t axis : axes) {
        if (finds_place && axis < 0) axis += x.rank;
        require(axis >= 0 && axis < x.rank && !reduced[static_cast<std::size_t>(axis)],
                where(desc) + "axes must differ and lie in 0 … " + std::to_string(x.rank - 1) + ", got " +
                    std::to_string(axis));
        reduced[static_cast<std::size_t>(axis)] = true;
    }
    return reduced;
}

ReduceArgs arguments(const StepDesc& desc, ReduceOp op) {
    const bool finds_place = op == ReduceOp::arg_max || op == ReduceOp::arg_min;
    const Tensor &x = desc.inputs[0], &y = desc.outputs[0];
    const std::vector<bool> reduced = reduced_axes(desc, finds_place);
    std::int64_t kept_count = 0;
    for (bool is_reduced : reduced) kept_count += is_reduced ? 0 : 1;
    const bool keeps = y.rank == x.rank;
    require(keeps || y.rank == kept_count, where(desc) + "y must have rank " + std::to_string(x.rank) + " or " +
                                               std::to_string(kept_count) + ", got " + std::to_string(y.rank));
    ReduceArgs args{op, desc.attributes.integer("select_last_index", 0) != 0, {}, {}};
    int to = 0;
    for (int axis = 0; axis < x.rank; ++axis) {
        const bool is_reduced = reduced[static_cast<std::size_t>(axis)];
        if (is_reduced) append_axis(args.reduced, x.shape[axis], x.stride[axis], 0);
        if (is_reduced && !keeps) continue;
        const std::int64_t extent = is_reduced ? 1 : x.shape[axis];
        require(y.shape[to] == extent, where(desc) + "y's axis " + std::to_string(to) + " must have extent " +
                                           std::to_string(extent) + ", got " + std::to_string(y.shape[to]));
        if (!is_reduced) append_axis(args.kept, extent, x.stride[axis], y.stride[to]);
        ++to;
    }
    require(!finds_place || (args.reduced.count >= 1 && args.reduced.count < (std::int64_t{1} << 31)),
            where(desc) + "axis must have 1 … 2^31 - 1 elements, got " + std::to_string(args.reduced.count));
    args.kept = merged(args.kept);
    args.reduced = merged(args.reduced);
    return args;
}

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    const auto found = kOps.find(desc.op);
    require(found != kOps.end(), where(desc) + "op must be a reduce_… or arg_max, arg_min");
    const ReduceOp op = found->second;
    require_counts(desc, 1, 2);  // ONNX's `axes` input may stay in place: the attribute counts
    const bool finds_place = op == ReduceOp::arg_max || op == ReduceOp::arg_min;
    require_dtype(desc, desc.inputs[0], row.a, "x");
    require_dtype(desc, desc.outputs[0], finds_place ? DType::int64 : row.a, "y");
    const ReduceEntry& entry = entry_of(kTables, row);
    require(entry.computes(op),
            where(desc) + "op must be one that " + dtype_name(row.a) + " has; cast, or use a Python step");
    return std::make_unique<ReduceStep>(entry, arguments(desc, op));
}

}  // namespace

extern const Family reduce_family;
const Family reduce_family{"reduce", [] { return rows_of(kTables); }, make};

}  // namespace thew
