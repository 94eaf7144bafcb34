// The steps that decide from gradients; all but the sums of squares is a few numbers.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/aligned.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/scaling/contract.hpp"
#include "kernels/strided.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<ScalingEntry>*> kTables THEW_TABLES(base, scaling_table);

void require_numbers(const StepDesc& desc, const Tensor& vector, std::int64_t count) {
    require_dtype(desc, vector, DType::fp64, "a vector of numbers");
    require(vector.rank == 1 && vector.shape[0] == count && (count <= 1 || vector.stride[0] == 1),
            where(desc) + "a vector must be of " + std::to_string(count) + " consecutive numbers, got " +
                shape_text(vector));
}

const double* numbers(const Tensor& vector) { return static_cast<const double*>(vector.data); }

// Scratch: one fp64 a piece.
class UnscaleCheckStep final : public Step {
public:
    UnscaleCheckStep(const StepDesc& desc, const ScalingEntry& entry)
        : entry_(entry), most_(desc.attributes.real("most", 0)) {
        require(desc.inputs.size() >= 3 && desc.outputs.size() == 2,
                where(desc) + "must have a scale, a limit, gradients, and two outputs");
        require_numbers(desc, desc.inputs[0], 1);
        require_numbers(desc, desc.inputs[1], 1);
        require_numbers(desc, desc.outputs[0], 1);
        require_numbers(desc, desc.outputs[1], static_cast<std::int64_t>(desc.inputs.size()) - 2);
        first_.push_back(0);
        for (std::size_t i = 2; i < desc.inputs.size(); ++i) {
            const Tensor& gradient = desc.inputs[i];
            const bool is_real = gradient.dtype == DType::fp64 || gradient.dtype == DType::fp32 ||
                                 gradient.dtype == DType::fp16 || gradient.dtype == DType::bf16;
            std::int64_t reach = 1;
            for (int axis = 0; axis < gradient.rank; ++axis)
                reach += (gradient.shape[axis] - 1) * gradient.stride[axis];
            const std::int64_t count = element_count(gradient);
            require(is_real && (count == 0 || reach == count),
                    where(desc) + "a gradient must be fp64, fp32, fp16 or bf16 and dense, got " +
                        dtype_name(gradient.dtype) + " " + shape_text(gradient) + "; copy it");
            counts_.push_back(count);
            first_.push_back(first_.back() + (count + kSquaresPiece - 1) / kSquaresPiece);
        }
    }

    std::size_t scratch_bytes() const override { return checked_bytes(static_cast<std::size_t>(first_.back()), 8); }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        auto* pieces = reinterpret_cast<double*>(scratch);
        const double scale = *numbers(inputs[0]), limit = *numbers(inputs[1]);
        const double bound = most_ > 0 ? most_ / scale * (most_ / scale) : HUGE_VAL;
        auto body = [&](std::int64_t piece, int) {
            const auto of =
                static_cast<std::size_t>(std::upper_bound(first_.begin(), first_.end(), piece) - first_.begin() - 1);
            const Tensor& gradient = inputs[2 + of];
            const std::int64_t start = (piece - first_[of]) * kSquaresPiece;
            const auto* data = static_cast<const std::byte*>(gradient.data) +
                               start * static_cast<std::int64_t>(dtype_bytes(gradient.dtype));
            pieces[piece] =
                entry_.squares(data, gradient.dtype, std::min(kSquaresPiece, counts_[of] - start), scale, bound);
        };
        parallel_for(workers, first_.back(), body);
        double norm = 0;
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            double sum = 0;
            for (std::int64_t piece = first_[i]; piece < first_[i + 1]; ++piece) sum += pieces[piece];
            static_cast<double*>(outputs[1].data)[i] = sum;
            norm += sum;
        }
        norm = std::sqrt(norm);
        *static_cast<double*>(outputs[0].data) =
            std::isfinite(norm) ? std::min(1.0, limit / (norm + 1e-6)) / scale : 0.0;
    }

private:
    const ScalingEntry& entry_;
    double most_;                               // 0: no bound
    std::vector<std::int64_t> counts_, first_;  // elements, and the first piece, of each gradient
};

class LossScaleStep final : public Step {
public:
    explicit LossScaleStep(const StepDesc& desc) {
        require_counts(desc, 3, 3);
        require_numbers(desc, desc.inputs[0], 3);
        require_numbers(desc, desc.inputs[1], 1);
        require_numbers(desc, desc.inputs[2], 5);
        require_numbers(desc, desc.outputs[0], 3);
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers&, std::byte*) const override {
        double scale = numbers(inputs[0])[0], clean = numbers(inputs[0])[1], skipped = numbers(inputs[0])[2];
        const double* hyper = numbers(inputs[2]);
        const double growth = hyper[0], backoff = hyper[1], interval = hyper[2], least = hyper[3], most = hyper[4];
        if (*numbers(inputs[1]) == 0) {
            scale = std::max(scale * backoff, least);
            clean = 0;
            ++skipped;
        } else if (++clean >= interval) {
            scale = std::min(scale * growth, most);
            clean = 0;
        }
        auto* next = static_cast<double*>(outputs[0].data);
        next[0] = scale, next[1] = clean, next[2] = skipped;
    }
};

class CountStep final : public Step {
public:
    explicit CountStep(const StepDesc& desc) : has_factor_(present(desc, 1)) {
        require_counts(desc, 1, 2);
        require_numbers(desc, desc.inputs[0], 1);
        if (has_factor_) require_numbers(desc, desc.inputs[1], 1);
        require_numbers(desc, desc.outputs[0], 1);
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers&, std::byte*) const override {
        const bool counts = !has_factor_ || *numbers(inputs[1]) != 0;
        *static_cast<double*>(outputs[0].data) = *numbers(inputs[0]) + (counts ? 1.0 : 0.0);
    }

private:
    bool has_factor_;
};

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    if (desc.op == "update_loss_scale") return std::make_unique<LossScaleStep>(desc);
    if (desc.op == "count_update") return std::make_unique<CountStep>(desc);
    require(desc.op == "unscale_check", where(desc) + "op must be unscale_check, update_loss_scale or count_update");
    return std::make_unique<UnscaleCheckStep>(desc, entry_of(kTables, row));
}

}  // namespace

extern const Family scaling_family;
const Family scaling_family{"scaling", [] { return rows_of(kTables); }, make};

}  // namespace thew
