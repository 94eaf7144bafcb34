// Steps of quantize_linear and dequantize_linear: scale and zero point seen along their axis.
#include "kernels/elementwise_step.hpp"
#include "kernels/quant/contract.hpp"

namespace thew {
namespace {

const std::initializer_list<const Table<OpEntry>*> kTables = THEW_TABLES(base, quant_table);

alignas(8) constexpr std::byte kZero[8] = {};

class QuantStep : public Step {
public:
    QuantStep(const StridedLoop& loop, LeafKernel kernel, bool has_zero)
        : loop_(loop), kernel_(kernel), has_zero_(has_zero) {}
    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte*) const override {
        std::byte* data[] = {static_cast<std::byte*>(outputs[0].data), static_cast<std::byte*>(inputs[0].data),
                             static_cast<std::byte*>(inputs[1].data),
                             has_zero_ ? static_cast<std::byte*>(inputs[2].data) : const_cast<std::byte*>(kZero)};
        run_loop(loop_, data, workers, kernel_, nullptr);
    }

private:
    StridedLoop loop_;
    LeafKernel kernel_;
    bool has_zero_;
};

// A scalar, or a vector of x's extent along the axis, as a view that broadcasts to x.
Tensor along_axis(const StepDesc& desc, const Tensor& parameter, const char* what) {
    const Tensor& x = desc.inputs[0];
    Tensor view = parameter;
    if (element_count(parameter) == 1) {
        view.rank = 0;
        return view;
    }
    std::int64_t axis = desc.attributes.integer("axis", 1);
    if (axis < 0) axis += x.rank;
    require(axis >= 0 && axis < x.rank, where(desc) + "axis must be within the input's rank " + std::to_string(x.rank) +
                                            ", got " + std::to_string(desc.attributes.integer("axis", 1)));
    require(parameter.rank == 1 && parameter.shape[0] == x.shape[axis],
            where(desc) + what + " must be one number or a vector as long as the axis, got shape " +
                shape_text(parameter) + " for axis " + std::to_string(axis) + " of " + shape_text(x) +
                "; blocked quantisation needs a Python step");
    view.rank = x.rank;
    for (int d = 0; d < x.rank; ++d) {
        view.shape[d] = d == axis ? parameter.shape[0] : 1;
        view.stride[d] = d == axis ? parameter.stride[0] : 0;
    }
    return view;
}

std::vector<const Row*> rows() { return rows_of(kTables); }

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    require_counts(desc, 2, 3);
    const bool quantizes = desc.op == "quantize_linear";
    require(desc.op == (row.a == DType::fp32 ? "quantize_linear" : "dequantize_linear"),
            where(desc) + "the op must be the one of row " + row_name(row));
    require_dtype(desc, desc.inputs[0], row.a, "the input");
    const DType narrow = quantizes ? desc.outputs[0].dtype : row.a;
    require_dtype(desc, desc.inputs[1], DType::fp32, "the scale");
    require(same_shape(desc.inputs[0], desc.outputs[0]), where(desc) + "the output must have the input's shape " +
                                                             shape_text(desc.inputs[0]) + ", got " +
                                                             shape_text(desc.outputs[0]));
    Tensor zero{};
    zero.dtype = narrow;
    if (present(desc, 2)) {
        require_dtype(desc, desc.inputs[2], narrow, "the zero point");
        zero = along_axis(desc, desc.inputs[2], "the zero point");
    }
    const Tensor views[] = {desc.outputs[0], desc.inputs[0], along_axis(desc, desc.inputs[1], "the scale"), zero};
    return std::make_unique<QuantStep>(plan_loop(views, where(desc)),
                                       find_kernel(desc, entry_of(kTables, row), dtype_name(desc.outputs[0].dtype)),
                                       present(desc, 2));
}

}  // namespace

extern const Family quant_family{"quant", rows, make};

}  // namespace thew
