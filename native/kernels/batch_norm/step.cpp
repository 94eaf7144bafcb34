// batch norm in training and its gradient, each whole or in halves: checks, the vectors over channels, and the order of
// the passes.
//
// Scratch: [4 vectors of the images' type][2 vectors fp64][2 vectors fp64 a part].
#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/aligned.hpp"
#include "kernels/batch_norm/contract.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/strided.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<BatchNormEntry>*> kTables THEW_TABLES(base, batch_norm_table);

// Largest stride of the first image first; neighbours that all images walk as one are merged.
Positions positions_of(std::initializer_list<const Tensor*> images) {
    const Tensor& first = **images.begin();
    Positions all{};
    all.count = 1;
    for (int axis = 0; axis < first.rank; ++axis) {
        if (axis == 1) continue;
        all.count *= first.shape[axis];
        if (first.shape[axis] == 1) continue;
        int at = all.rank++;
        for (; at > 0 && std::llabs(all.stride[0][at - 1]) < std::llabs(first.stride[axis]); --at) {
            all.extent[at] = all.extent[at - 1];
            for (auto& stride : all.stride) stride[at] = stride[at - 1];
        }
        all.extent[at] = first.shape[axis];
        int image = 0;
        for (const Tensor* tensor : images) all.stride[image++][at] = tensor->stride[axis];
    }
    Positions merged{};
    merged.count = all.count;
    for (int d = 0; d < all.rank; ++d) {
        const int last = merged.rank - 1;
        bool joins = last >= 0;
        for (int i = 0; joins && i < 3; ++i) joins = merged.stride[i][last] == all.stride[i][d] * all.extent[d];
        const int to = joins ? last : merged.rank++;
        merged.extent[to] = joins ? merged.extent[to] * all.extent[d] : all.extent[d];
        for (int i = 0; i < 3; ++i) merged.stride[i][to] = all.stride[i][d];
    }
    return merged;
}

void require_vector(const StepDesc& desc, const Tensor& vector, DType dtype, std::int64_t channels) {
    require_dtype(desc, vector, dtype, "a vector over channels");
    require(
        vector.rank == 1 && vector.shape[0] == channels,
        where(desc) + "a vector over channels must be (" + std::to_string(channels) + ",), got " + shape_text(vector));
}

// Elements of a vector over channels, whatever their type.
double get(const Tensor& vector, std::int64_t i) {
    return vector.dtype == DType::fp32
               ? static_cast<double>(static_cast<const float*>(vector.data)[i * vector.stride[0]])
               : static_cast<const double*>(vector.data)[i * vector.stride[0]];
}
void put(const Tensor& vector, std::int64_t i, double value) {
    if (vector.dtype == DType::fp32) {
        static_cast<float*>(vector.data)[i * vector.stride[0]] = static_cast<float>(value);
    } else {
        static_cast<double*>(vector.data)[i * vector.stride[0]] = value;
    }
}

class BatchNormStep : public Step {
public:
    BatchNormStep(const StepDesc& desc, const BatchNormEntry& entry, std::initializer_list<const Tensor*> images)
        : entry_(entry) {
        const Tensor& first = **images.begin();
        require(first.rank >= 2, where(desc) + "images must have rank 2 or more, got " + shape_text(first));
        args_.channels = first.shape[1];
        args_.positions = positions_of(images);
        args_.epsilon = desc.attributes.real("epsilon", 1e-5);
        int image = 0;
        for (const Tensor* tensor : images) {
            require_dtype(desc, *tensor, entry.row.a, "every image");
            require(same_shape(first, *tensor), where(desc) + "images must have one shape, got " + shape_text(first) +
                                                    " and " + shape_text(*tensor));
            args_.step[image++] = tensor->shape[1] == 1 ? 1 : tensor->stride[1];
        }
        vector_bytes_ = checked_bytes(static_cast<std::size_t>(4 * args_.channels), dtype_bytes(entry.row.a));
    }

    std::size_t scratch_bytes() const override {
        return vector_bytes_ + checked_bytes(static_cast<std::size_t>((2 + 2 * kStatisticsParts) * args_.channels), 8);
    }

protected:
    // Four vectors of the images' type, each given by value(channel).
    template <class... Values>
    void fill(std::byte* scratch, const Values&... values) const {
        std::int64_t place = 0;
        for (std::int64_t c = 0; c < args_.channels; ++c) {
            place = c;
            ((put_scratch(scratch, place, values(c)), place += args_.channels), ...);
        }
    }
    double* totals(std::byte* scratch) const { return reinterpret_cast<double*>(scratch + vector_bytes_); }

    const BatchNormEntry& entry_;
    BatchNormArgs args_{};
    std::size_t vector_bytes_ = 0;

private:
    void put_scratch(std::byte* scratch, std::int64_t at, double value) const {
        if (entry_.row.a == DType::fp32) {
            reinterpret_cast<float*>(scratch)[at] = static_cast<float>(value);
        } else {
            reinterpret_cast<double*>(scratch)[at] = value;
        }
    }
};

// Two fp64 numbers a channel, as processes sum them.
void require_pairs(const StepDesc& desc, const Tensor& pairs, std::int64_t channels) {
    require_dtype(desc, pairs, DType::fp64, "what processes sum");
    require(pairs.rank == 2 && pairs.shape[0] == 2 && pairs.shape[1] == channels,
            where(desc) + "what processes sum must be (2, " + std::to_string(channels) + "), got " + shape_text(pairs));
}
double& pair(const Tensor& pairs, std::int64_t row, std::int64_t c) {
    return static_cast<double*>(pairs.data)[row * pairs.stride[0] + c * pairs.stride[1]];
}

// How many processes there are, and whether their sums come in.
struct Ranks {
    double count;
    bool summed;

    Ranks(const StepDesc& desc, std::int64_t channels)
        : count(static_cast<double>(desc.attributes.integer("ranks", 1))), summed(desc.inputs.size() == 6) {
        require(count >= 1, where(desc) + "ranks must be at least 1");
        if (summed) require_pairs(desc, desc.inputs[5], channels);
    }
};

class TrainingStep final : public BatchNormStep {
public:
    TrainingStep(const StepDesc& desc, const BatchNormEntry& entry)
        : BatchNormStep(desc, entry, {&desc.inputs[0], &desc.outputs[0]}),
          momentum_(desc.attributes.real("momentum", 0.1)),
          ranks_(desc, args_.channels) {
        for (std::size_t i = 1; i < 5; ++i) {
            require_vector(desc, desc.inputs[i], entry.row.a, args_.channels);
            require_vector(desc, desc.outputs[i], entry.row.a, args_.channels);
        }
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        double *mean = totals(scratch), *variance = mean + args_.channels, *parts = variance + args_.channels;
        if (ranks_.summed) {
            for (std::int64_t c = 0; c < args_.channels; ++c) {
                mean[c] = pair(inputs[5], 0, c);
                variance[c] = std::max(pair(inputs[5], 1, c) - mean[c] * mean[c], 0.0);
            }
        } else {
            entry_.statistics(args_, inputs[0].data, mean, variance, parts, workers);
        }
        const double count = ranks_.count * static_cast<double>(args_.positions.count);
        auto inverse = [&](std::int64_t c) { return 1 / std::sqrt(variance[c] + args_.epsilon); };
        fill(
            scratch, [&](std::int64_t c) { return get(inputs[1], c); },
            [&](std::int64_t c) { return get(inputs[2], c); }, [&](std::int64_t c) { return mean[c]; }, inverse);
        for (std::int64_t c = 0; c < args_.channels; ++c) {
            const double unbiased = variance[c] * (count / std::max(count - 1, 1.0));
            put(outputs[1], c, get(inputs[3], c) * (1 - momentum_) + mean[c] * momentum_);
            put(outputs[2], c, get(inputs[4], c) * (1 - momentum_) + unbiased * momentum_);
            put(outputs[3], c, mean[c]);
            put(outputs[4], c, inverse(c));
        }
        entry_.normalise(args_, inputs[0].data, outputs[0].data, scratch, workers);
    }

private:
    double momentum_;
    Ranks ranks_;
};

class MomentsStep final : public BatchNormStep {
public:
    MomentsStep(const StepDesc& desc, const BatchNormEntry& entry)
        : BatchNormStep(desc, entry, {&desc.inputs[0]}), ranks_(desc, args_.channels) {
        require_pairs(desc, desc.outputs[0], args_.channels);
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        double *mean = totals(scratch), *variance = mean + args_.channels, *parts = variance + args_.channels;
        entry_.statistics(args_, inputs[0].data, mean, variance, parts, workers);
        for (std::int64_t c = 0; c < args_.channels; ++c) {
            pair(outputs[0], 0, c) = mean[c] / ranks_.count;
            pair(outputs[0], 1, c) = (variance[c] + mean[c] * mean[c]) / ranks_.count;
        }
    }

private:
    Ranks ranks_;
};

class SumsStep final : public BatchNormStep {
public:
    SumsStep(const StepDesc& desc, const BatchNormEntry& entry)
        : BatchNormStep(desc, entry, {&desc.inputs[0], &desc.inputs[1]}) {
        for (std::size_t i = 2; i < 4; ++i) require_vector(desc, desc.inputs[i], entry.row.a, args_.channels);
        require_pairs(desc, desc.outputs[0], args_.channels);
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        double *of_dy = totals(scratch), *of_product = of_dy + args_.channels, *parts = of_product + args_.channels;
        fill(
            scratch, [&](std::int64_t c) { return get(inputs[2], c); },
            [&](std::int64_t c) { return get(inputs[3], c); });
        entry_.sums(args_, inputs[0].data, inputs[1].data, scratch, of_dy, of_product, parts, workers);
        for (std::int64_t c = 0; c < args_.channels; ++c) {
            pair(outputs[0], 0, c) = of_dy[c];
            pair(outputs[0], 1, c) = of_product[c];
        }
    }
};

class GradStep final : public BatchNormStep {
public:
    GradStep(const StepDesc& desc, const BatchNormEntry& entry)
        : BatchNormStep(desc, entry, {&desc.inputs[0], &desc.inputs[1], &desc.outputs[0]}),
          ranks_(desc, args_.channels) {
        for (std::size_t i = 2; i < 5; ++i) require_vector(desc, desc.inputs[i], entry.row.a, args_.channels);
        for (std::size_t i = 1; i < 3; ++i) require_vector(desc, desc.outputs[i], entry.row.a, args_.channels);
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        double *of_dy = totals(scratch), *of_product = of_dy + args_.channels, *parts = of_product + args_.channels;
        auto mean = [&](std::int64_t c) { return get(inputs[3], c); };
        auto inverse = [&](std::int64_t c) { return get(inputs[4], c); };
        if (ranks_.summed) {
            for (std::int64_t c = 0; c < args_.channels; ++c) {
                of_dy[c] = pair(inputs[5], 0, c);
                of_product[c] = pair(inputs[5], 1, c);
            }
        } else {
            fill(scratch, mean, inverse);
            entry_.sums(args_, inputs[0].data, inputs[1].data, scratch, of_dy, of_product, parts, workers);
        }
        const double count = ranks_.count * static_cast<double>(args_.positions.count);
        fill(
            scratch, [&](std::int64_t c) { return get(inputs[2], c) * inverse(c); },
            [&](std::int64_t c) { return of_dy[c] / count; }, mean,
            [&](std::int64_t c) { return inverse(c) * of_product[c] / count; });
        for (std::int64_t c = 0; c < args_.channels; ++c) {
            put(outputs[1], c, of_product[c] / ranks_.count);
            put(outputs[2], c, of_dy[c] / ranks_.count);
        }
        entry_.gradient(args_, inputs[0].data, inputs[1].data, outputs[0].data, scratch, workers);
    }

private:
    Ranks ranks_;
};

template <class Kind>
std::unique_ptr<Step> made(const StepDesc& desc, const BatchNormEntry& entry) {
    return std::make_unique<Kind>(desc, entry);
}

struct Op {
    const char* name;
    std::size_t least_inputs, most_inputs, outputs;
    std::unique_ptr<Step> (*make)(const StepDesc& desc, const BatchNormEntry& entry);
};
constexpr Op kOps[] = {
    {"batch_norm_training", 5, 6, 5, made<TrainingStep>},
    {"batch_norm_grad", 5, 6, 3, made<GradStep>},
    {"batch_norm_moments", 1, 1, 1, made<MomentsStep>},
    {"batch_norm_sums", 4, 4, 1, made<SumsStep>},
};

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    for (const Op& op : kOps) {
        if (desc.op != op.name) continue;
        require_counts(desc, op.least_inputs, op.most_inputs, op.outputs);
        return op.make(desc, entry_of(kTables, row));
    }
    throw PlanError(where(desc) + "op must be one of batch norm's in training");
}

}  // namespace

extern const Family batch_norm_family;
const Family batch_norm_family{"batch_norm", [] { return rows_of(kTables); }, make};

}  // namespace thew
