// Checks a normalisation, says which axis is special, and runs it.
#include <map>

#include "kernels/axes_plan.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/norm/contract.hpp"
#include "kernels/strided.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<NormEntry>*> kTables THEW_TABLES(base, norm_table);

struct Facts {
    NormOp op;
    std::size_t least_inputs, most_inputs;
};
const std::map<std::string, Facts> kOps{
    {"batch_normalization", {NormOp::batch, 5, 5}},
    {"instance_normalization", {NormOp::group, 3, 3}},
    {"group_normalization", {NormOp::group, 3, 3}},
    {"layer_normalization", {NormOp::layer, 2, 3}},
    {"lrn", {NormOp::lrn, 1, 1}},
};

// A parameter seen as one axis: extents of 1 drop out, the rest must lie end to end.
struct Flat {
    std::int64_t count, stride;
};
Flat flat_view(const StepDesc& desc, const Tensor& tensor, const std::string& what) {
    Flat flat{1, 1};
    for (int axis = tensor.rank - 1; axis >= 0; --axis) {
        if (tensor.shape[axis] == 1) continue;
        if (flat.count == 1) flat.stride = tensor.stride[axis];
        require(tensor.stride[axis] == flat.count * flat.stride,
                where(desc) + what + " must have its normalised axes end to end in memory; copy it");
        flat.count *= tensor.shape[axis];
    }
    return flat;
}

class NormStep final : public Step {
public:
    NormStep(const NormEntry& entry, const NormArgs& args, const NormParameters& parameters, std::size_t inputs,
             int threads)
        : entry_(entry), args_(args), parameters_(parameters), inputs_(inputs), threads_(threads) {}

    std::size_t scratch_bytes() const override {
        return static_cast<std::size_t>(entry_.scratch_bytes(args_, threads_));
    }
    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        NormParameters parameters = parameters_;
        for (std::size_t i = 1; i < inputs_; ++i) {
            parameters.data[i - 1] = inputs[i].rank < 0 ? nullptr : inputs[i].data;
        }
        entry_.run(args_, inputs[0].data, outputs[0].data, parameters, workers, scratch);
    }

private:
    const NormEntry& entry_;
    NormArgs args_;
    NormParameters parameters_;  // strides only
    std::size_t inputs_;
    int threads_;
};

// Channels are special; for group the image too is apart.
void channel_axes(const StepDesc& desc, NormArgs& args) {
    const Tensor &x = desc.inputs[0], &y = desc.outputs[0];
    require(x.rank >= 2, where(desc) + "x must have rank 2 or more, got " + std::to_string(x.rank));
    args.length = x.shape[1];
    args.x_stride = x.stride[1];
    args.y_stride = y.stride[1];
    for (int axis = 0; axis < x.rank; ++axis) {
        if (axis == 1 || (axis == 0 && args.op == NormOp::group)) continue;
        append_axis(args.others, x.shape[axis], x.stride[axis], y.stride[axis]);
    }
    if (args.op != NormOp::group) return;
    args.n = x.shape[0];
    args.x_n = x.stride[0];
    args.y_n = y.stride[0];
    const bool instance = desc.op == "instance_normalization";
    args.groups = instance ? args.length : desc.attributes.integer("num_groups", 0);
    require(args.groups >= (instance ? 0 : 1) && (args.groups == 0 || args.length % args.groups == 0),
            where(desc) + "num_groups must divide the " + std::to_string(args.length) + " channels, got " +
                std::to_string(args.groups));
}

// The axes from `axis` on are special, as one.
void layer_axes(const StepDesc& desc, NormArgs& args) {
    Tensor x = desc.inputs[0], y = desc.outputs[0];
    std::int64_t axis = desc.attributes.integer("axis", -1);
    require(axis >= -x.rank && axis < x.rank,
            where(desc) + "axis must lie in the " + std::to_string(x.rank) + " axes of x, got " + std::to_string(axis));
    axis += axis < 0 ? x.rank : 0;
    for (int other = 0; other < axis; ++other) {
        append_axis(args.others, x.shape[other], x.stride[other], y.stride[other]);
        x.shape[other] = y.shape[other] = 1;
    }
    const Flat from = flat_view(desc, x, "x"), to = flat_view(desc, y, "y");
    args.length = from.count;
    args.x_stride = from.stride;
    args.y_stride = to.stride;
}

NormParameters parameters(const StepDesc& desc, const Row& row, const NormArgs& args) {
    constexpr const char* names[4]{"scale", "bias", "mean", "variance"};
    NormParameters result{};
    for (std::size_t i = 1; i < desc.inputs.size(); ++i) {
        if (!present(desc, i)) continue;
        require_dtype(desc, desc.inputs[i], row.a, names[i - 1]);
        const Flat flat = flat_view(desc, desc.inputs[i], names[i - 1]);
        require(flat.count == args.length, where(desc) + names[i - 1] + " must have " + std::to_string(args.length) +
                                               " elements, got " + shape_text(desc.inputs[i]) + "; broadcast it");
        result.stride[i - 1] = flat.stride;
    }
    return result;
}

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    const auto found = kOps.find(desc.op);
    require(found != kOps.end(), where(desc) + "op must be a normalisation of this family");
    require_counts(desc, found->second.least_inputs, found->second.most_inputs);
    const Tensor &x = desc.inputs[0], &y = desc.outputs[0];
    require_dtype(desc, x, row.a, "x");
    require_dtype(desc, y, row.a, "y");
    require(same_shape(x, y), where(desc) + "y must have x's shape " + shape_text(x) + ", got " + shape_text(y));
    require(desc.attributes.integer("training_mode", 0) == 0, where(desc) + "training_mode must be 0");
    NormArgs args{};
    args.op = found->second.op;
    args.n = 1;
    args.epsilon = desc.attributes.real("epsilon", 1e-5);
    if (args.op == NormOp::layer) {
        layer_axes(desc, args);
    } else {
        channel_axes(desc, args);
    }
    if (args.op == NormOp::lrn) {
        args.size = desc.attributes.integer("size", 0);
        require(args.size >= 1, where(desc) + "size must be at least 1, got " + std::to_string(args.size));
        args.alpha = desc.attributes.real("alpha", 1e-4);
        args.beta = desc.attributes.real("beta", 0.75);
        args.bias = desc.attributes.real("bias", 1.0);
    }
    args.others = merged(args.others);
    return std::make_unique<NormStep>(entry_of(kTables, row), args, parameters(desc, row, args), desc.inputs.size(),
                                      desc.threads);
}

}  // namespace

extern const Family norm_family;
const Family norm_family{"norm", [] { return rows_of(kTables); }, make};

}  // namespace thew
