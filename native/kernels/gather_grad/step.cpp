// Checks a gradient of a gather, and its indices at every run.
#include "kernels/dispatch.hpp"
#include "kernels/gather_grad/contract.hpp"
#include "kernels/indices.hpp"
#include "kernels/strided.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<GatherGradEntry>*> kTables THEW_TABLES(base, gather_grad_table);

void require_dense(const StepDesc& desc, const Tensor& tensor, const char* what) {
    std::int64_t inner = 1;
    for (int d = tensor.rank - 1; d >= 0 && element_count(tensor) > 0; --d) {
        require(tensor.shape[d] <= 1 || tensor.stride[d] == inner,
                where(desc) + what + " must be dense, in C order; convert the layout");
        inner *= tensor.shape[d];
    }
}

class GatherGradStep final : public Step {
public:
    GatherGradStep(const StepDesc& desc, const GatherGradEntry& entry) : entry_(entry), where_(where(desc)) {
        require_counts(desc, 2, 2);
        const Tensor &dy = desc.inputs[0], &indices = desc.inputs[1], &dx = desc.outputs[0];
        require_dtype(desc, dy, entry.row.a, "dy");
        require_dtype(desc, dx, entry.row.a, "dx");
        require(indices.dtype == DType::int32 || indices.dtype == DType::int64,
                where_ + "indices must be int32 or int64, got " + dtype_name(indices.dtype));
        std::int64_t axis = desc.attributes.integer("axis", 0);
        if (axis < 0) axis += dx.rank;
        bool fits = axis >= 0 && axis < dx.rank && dy.rank == dx.rank + indices.rank - 1;
        const int last = static_cast<int>(axis) + indices.rank;
        for (int d = 0; fits && d < dy.rank; ++d) {
            fits = dy.shape[d] == (d < axis   ? dx.shape[d]
                                   : d < last ? indices.shape[d - axis]
                                              : dx.shape[d - indices.rank + 1]);
        }
        require(fits, where_ + "dy must have dx's shape " + shape_text(dx) + " with that of the indices " +
                          shape_text(indices) + " at axis " + std::to_string(axis) + ", got " + shape_text(dy));
        require_dense(desc, dy, "dy");
        require_dense(desc, dx, "dx");
        args_ = {1, dx.shape[axis], element_count(indices), 1, nullptr};
        for (int d = 0; d < dx.rank; ++d) {
            if (d != axis) (d < axis ? args_.outer : args_.inner) *= dx.shape[d];
        }
    }

    std::size_t scratch_bytes() const override { return static_cast<std::size_t>(args_.count) * sizeof(std::int64_t); }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        if (args_.outer == 0 || args_.inner == 0) return;
        auto* index = reinterpret_cast<std::int64_t*>(scratch);
        read_indices(inputs[1], args_.count, args_.extent, where_, index);
        GatherGradArgs args = args_;
        args.index = index;
        entry_.run(args, inputs[0].data, outputs[0].data, workers);
    }

private:
    const GatherGradEntry& entry_;
    std::string where_;
    GatherGradArgs args_{};
};

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    return std::make_unique<GatherGradStep>(desc, entry_of(kTables, row));
}

}  // namespace

extern const Family gather_grad_family;
const Family gather_grad_family{"gather_grad", [] { return rows_of(kTables); }, make};

}  // namespace thew
