// gather: indices are checked and counted from the front at every run, before any kernel reads them.
#include "kernels/dispatch.hpp"
#include "kernels/indices.hpp"
#include "kernels/move/sample_step.hpp"

namespace thew {
namespace {

class GatherStep : public Step {
public:
    GatherStep(const StepDesc& desc, const MoveEntry& entry, int axis)
        : where_(where(desc)), extent_(desc.inputs[0].shape[axis]), count_(element_count(desc.inputs[1])) {
        const Tensor &x = desc.inputs[0], &indices = desc.inputs[1], &output = desc.outputs[0];
        // The output with the indices' dimensions but the last taken out: one pass an outer position.
        Tensor inner = output;
        inner.rank = x.rank;
        const int last = axis + indices.rank - 1;
        for (int d = 0; d < x.rank; ++d) {
            const int from = d < axis ? d : d + indices.rank - 1;
            const bool scalar = d == axis && indices.rank == 0;
            inner.shape[d] = scalar ? 1 : output.shape[from];
            inner.stride[d] = scalar ? 0 : output.stride[from];
        }
        outer_rank_ = std::max(indices.rank - 1, 0);
        for (int d = 0; d < outer_rank_; ++d) {
            outer_shape_[d] = output.shape[axis + d];
            outer_bytes_[d] = output.stride[axis + d] * static_cast<std::int64_t>(dtype_bytes(output.dtype));
        }
        // Outer positions that continue the last dimension belong to it.
        while (outer_rank_ > 0 && output.stride[axis + outer_rank_ - 1] == inner.shape[axis] * output.stride[last]) {
            inner.shape[axis] *= outer_shape_[--outer_rank_];
        }
        row_ = inner.shape[axis];
        AxisTable table;
        table.axis = axis;
        table.extent = row_;
        pass_.emplace_back(inner, x, std::move(table), entry, where_);
    }

    std::size_t scratch_bytes() const override { return static_cast<std::size_t>(count_) * sizeof(std::int64_t); }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        auto* index = reinterpret_cast<std::int64_t*>(scratch);
        read_indices(inputs[1], count_, extent_, where_, index);
        if (count_ == 0) return;
        for (std::int64_t position = 0; position < count_ / row_; ++position) {
            auto* out = static_cast<std::byte*>(outputs[0].data);
            std::int64_t rest = position;
            for (int d = outer_rank_ - 1; d >= 0; --d) {
                out += rest % outer_shape_[d] * outer_bytes_[d];
                rest /= outer_shape_[d];
            }
            pass_[0].run(out, static_cast<std::byte*>(inputs[0].data), index + position * row_, workers);
        }
    }

private:
    std::string where_;
    std::int64_t extent_, count_, row_;
    int outer_rank_;
    std::int64_t outer_shape_[kMaxRank], outer_bytes_[kMaxRank];
    std::vector<AxisPass> pass_;
};

}  // namespace

std::unique_ptr<Step> make_gather(const StepDesc& desc, const MoveEntry& entry, bool) {
    require_counts(desc, 2, 2);
    const Tensor &x = desc.inputs[0], &indices = desc.inputs[1], &output = desc.outputs[0];
    require_dtype(desc, x, entry.row.a, "the input");
    require(indices.dtype == DType::int32 || indices.dtype == DType::int64,
            where(desc) + "indices must be int32 or int64, got " + dtype_name(indices.dtype));
    std::int64_t axis = desc.attributes.integer("axis", 0);
    if (axis < 0) axis += x.rank;
    bool fits = axis >= 0 && axis < x.rank && output.rank == x.rank + indices.rank - 1;
    for (int d = 0; fits && d < output.rank; ++d) {
        const int last = static_cast<int>(axis) + indices.rank;
        fits = output.shape[d] == (d < axis   ? x.shape[d]
                                   : d < last ? indices.shape[d - axis]
                                              : x.shape[d - indices.rank + 1]);
    }
    require(fits, where(desc) + "the output must have the input's shape " + shape_text(x) +
                      " with that of the indices " + shape_text(indices) + " at axis " + std::to_string(axis) +
                      ", got " + shape_text(output));
    return std::make_unique<GatherStep>(desc, entry, static_cast<int>(axis));
}

}  // namespace thew
