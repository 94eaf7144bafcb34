// Checks a softmax_cross_entropy, reads its labels, and sums what the samples lose.
//
// Scratch: [labels, one int64 a sample][losses, one fp64 a sample][a line for each worker].
#include "base/aligned.hpp"
#include "kernels/axes_plan.hpp"
#include "kernels/cross_entropy/contract.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/strided.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<CrossEntropyEntry>*> kTables THEW_TABLES(base, cross_entropy_table);

double number(const void* data, DType dtype, std::int64_t at) {
    return dtype == DType::fp32 ? static_cast<double>(static_cast<const float*>(data)[at])
                                : static_cast<const double*>(data)[at];
}

class CrossEntropyStep final : public Step {
public:
    CrossEntropyStep(const StepDesc& desc, const CrossEntropyEntry& entry)
        : entry_(entry),
          where_(where(desc)),
          mean_(desc.attributes.text("reduction", "mean") == "mean"),
          ignored_(desc.attributes.integer("ignore_index", -100)),
          weighted_(present(desc, 2)),
          threads_(desc.threads) {
        const Tensor &logits = desc.inputs[0], &labels = desc.inputs[1], &gradient = desc.outputs[1];
        args_.classes = logits.shape[1];
        args_.logits_stride = logits.stride[1];
        args_.gradient_stride = gradient.stride[1];
        args_.weights_stride = weighted_ ? desc.inputs[2].stride[0] : 1;
        args_.smoothing = desc.attributes.real("label_smoothing", 0.0);
        for (int axis = 0; axis < logits.rank; ++axis) {
            if (axis == 1) continue;
            append_axis(args_.samples, logits.shape[axis], logits.stride[axis], gradient.stride[axis]);
            const int of_labels = axis == 0 ? 0 : axis - 1;
            append_axis(labels_, logits.shape[axis], labels.stride[of_labels], 0);
        }
    }

    std::size_t scratch_bytes() const override {
        return 2 * samples_bytes() + static_cast<std::size_t>(threads_ * entry_.line_bytes(args_.classes));
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        auto* labels = reinterpret_cast<std::int64_t*>(scratch);
        auto* losses = reinterpret_cast<double*>(scratch + samples_bytes());
        const void* weights = weighted_ ? inputs[2].data : nullptr;
        CrossEntropyArgs args = args_;
        args.factor = 1 / read_labels(inputs[1], weights, labels);
        args.weights_sum = static_cast<double>(args.classes);
        if (weighted_) {
            args.weights_sum = 0;
            for (std::int64_t j = 0; j < args.classes; ++j) args.weights_sum += weight(weights, j);
        }
        entry_.run(args, inputs[0].data, labels, weights, outputs[1].data, losses, scratch + 2 * samples_bytes(),
                   workers);
        double sum = 0;
        for (std::int64_t i = 0; i < args.samples.count; ++i) sum += losses[i];
        sum *= args.factor;
        if (entry_.row.a == DType::fp32) {
            *static_cast<float*>(outputs[0].data) = static_cast<float>(sum);
        } else {
            *static_cast<double*>(outputs[0].data) = sum;
        }
    }

private:
    std::size_t samples_bytes() const { return checked_bytes(static_cast<std::size_t>(args_.samples.count), 8); }

    double weight(const void* weights, std::int64_t label) const {
        return number(weights, entry_.row.a, label * args_.weights_stride);
    }

    // Labels side by side, -1 where ignored; returns the divisor.
    double read_labels(const Tensor& from, const void* weights, std::int64_t* labels) const {
        double divisor = 0;
        for (std::int64_t i = 0; i < labels_.count; ++i) {
            const std::int64_t at = offsets_at(labels_, i).of[0];
            const std::int64_t label = from.dtype == DType::int64
                                           ? static_cast<const std::int64_t*>(from.data)[at]
                                           : std::int64_t{static_cast<const std::int32_t*>(from.data)[at]};
            labels[i] = label == ignored_ ? -1 : label;
            if (label == ignored_) continue;
            if (label < 0 || label >= args_.classes) {
                throw Error(where_ + "labels must be within [0, " + std::to_string(args_.classes - 1) +
                            "] or ignore_index, got " + std::to_string(label));
            }
            divisor += weights ? weight(weights, label) : 1.0;
        }
        return mean_ ? divisor : 1.0;
    }

    const CrossEntropyEntry& entry_;
    const std::string where_;
    CrossEntropyArgs args_{};
    Axes labels_;
    bool mean_;
    std::int64_t ignored_;
    bool weighted_;
    int threads_;
};

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    require(desc.op == "softmax_cross_entropy", where(desc) + "op must be softmax_cross_entropy");
    require_counts(desc, 2, 3, 2);
    const Tensor &logits = desc.inputs[0], &labels = desc.inputs[1];
    require_dtype(desc, logits, row.a, "logits");
    require_dtype(desc, desc.outputs[0], row.a, "the loss");
    require_dtype(desc, desc.outputs[1], row.a, "dlogits");
    require(labels.dtype == DType::int64 || labels.dtype == DType::int32,
            where(desc) + "labels must be int64 or int32, got " + dtype_name(labels.dtype));
    bool fits = logits.rank >= 2 && labels.rank == logits.rank - 1 && labels.shape[0] == logits.shape[0];
    for (int axis = 2; fits && axis < logits.rank; ++axis) fits = labels.shape[axis - 1] == logits.shape[axis];
    require(fits && same_shape(logits, desc.outputs[1]) && element_count(desc.outputs[0]) == 1,
            where(desc) +
                "logits must be (n, classes, …), labels (n, …), the loss one number and dlogits as logits, got " +
                shape_text(logits) + ", " + shape_text(labels) + ", " + shape_text(desc.outputs[0]) + " and " +
                shape_text(desc.outputs[1]));
    if (present(desc, 2)) {
        require_dtype(desc, desc.inputs[2], row.a, "weights");
        require(desc.inputs[2].rank == 1 && desc.inputs[2].shape[0] == logits.shape[1],
                where(desc) + "weights must be (classes,), got " + shape_text(desc.inputs[2]));
    }
    const std::string reduction = desc.attributes.text("reduction", "mean");
    require(reduction == "mean" || reduction == "sum",
            where(desc) + "reduction must be mean or sum, got '" + reduction + "'");
    return std::make_unique<CrossEntropyStep>(desc, entry_of(kTables, row));
}

}  // namespace

extern const Family cross_entropy_family;
const Family cross_entropy_family{"cross_entropy", [] { return rows_of(kTables); }, make};

}  // namespace thew
