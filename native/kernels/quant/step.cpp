// Steps of quantize_linear and dequantize_linear, scale and zero point seen along their axis; of qlinear_add and
// qlinear_mul, whose scales and zero points are constants; and of functions of one byte, whose tables are.
#include <algorithm>
#include <cstring>

#include "kernels/elementwise_step.hpp"
#include "kernels/integer/operands.hpp"
#include "kernels/quant/contract.hpp"

namespace thew {
namespace {

const std::initializer_list<const Table<OpEntry>*> kTables = {THEW_TABLE_LIST(base, quant_table)
                                                                  THEW_TABLE_LIST(base, quant_bytes)};

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

class PairStep : public Step {
public:
    PairStep(const StridedLoop& loop, LeafKernel kernel, const PairSteps& steps)
        : loop_(loop), kernel_(kernel), steps_(steps) {}
    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte*) const override {
        std::byte* data[] = {static_cast<std::byte*>(outputs[0].data), static_cast<std::byte*>(inputs[0].data),
                             static_cast<std::byte*>(inputs[3].data)};
        run_loop(loop_, data, workers, kernel_, &steps_);
    }

private:
    StridedLoop loop_;
    LeafKernel kernel_;
    PairSteps steps_;
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

double real_at(const StepDesc& desc, std::size_t input, bool dry) {
    require(present(desc, input) && desc.constant[input] && element_count(desc.inputs[input]) == 1,
            where(desc) + "scales must be constants of one number");
    require_dtype(desc, desc.inputs[input], DType::fp32, "a scale");
    return dry ? 1 : *static_cast<const float*>(desc.inputs[input].data);
}

std::int32_t zero_at(const StepDesc& desc, std::size_t input, DType dtype, bool dry) {
    require(present(desc, input) && desc.constant[input] && element_count(desc.inputs[input]) == 1,
            where(desc) + "zero points must be constants of one number");
    require_dtype(desc, desc.inputs[input], dtype, "a zero point");
    const void* at = desc.inputs[input].data;
    if (dry) return 0;
    return dtype == DType::int8 ? *static_cast<const std::int8_t*>(at) : *static_cast<const std::uint8_t*>(at);
}

std::unique_ptr<Step> make_pair(const StepDesc& desc, const Row& row, bool dry) {
    require_counts(desc, 8, 8);
    const DType dtype = row.a;
    for (std::size_t input : {0, 3}) require_dtype(desc, desc.inputs[input], dtype, "every operand");
    require_dtype(desc, desc.outputs[0], dtype, "the output");
    const std::int64_t least = dtype == DType::int8 ? -128 : 0, most = least + 255;
    const double a_scale = real_at(desc, 1, dry), b_scale = real_at(desc, 4, dry), y_scale = real_at(desc, 6, dry);
    const bool adds = desc.op == "qlinear_add";
    const PairSteps steps{
        finite_ratio(adds ? a_scale / y_scale : a_scale * b_scale / y_scale),
        adds ? finite_ratio(b_scale / y_scale) : 1,
        zero_at(desc, 2, dtype, dry),
        zero_at(desc, 5, dtype, dry),
        zero_at(desc, 7, dtype, dry),
        static_cast<std::int32_t>(std::clamp(desc.attributes.integer("low", least), least, most)),
        static_cast<std::int32_t>(std::clamp(desc.attributes.integer("high", most), least, most)),
    };
    const Tensor views[] = {desc.outputs[0], desc.inputs[0], desc.inputs[3]};
    return std::make_unique<PairStep>(plan_loop(views, where(desc)), find_kernel(desc, entry_of(kTables, row), desc.op),
                                      steps);
}

std::unique_ptr<Step> make_table(const StepDesc& desc, const Row& row, bool dry) {
    require_counts(desc, 2, 2);
    require_dtype(desc, desc.inputs[0], row.a, "the input");
    const Tensor& table = desc.inputs[1];
    require(
        desc.constant[1] && table.rank == 1 && table.shape[0] == 256 && table.stride[0] == 1 &&
            table.dtype == desc.outputs[0].dtype && dtype_bytes(table.dtype) == 1,
        where(desc) + "the table must be a constant of 256 bytes of the output's type, got shape " + shape_text(table));
    TableOfBytes copy{};
    if (!dry) std::memcpy(copy.bytes, table.data, sizeof copy.bytes);
    return std::make_unique<ElementwiseStep<TableOfBytes>>(loop_of(desc, 1),
                                                           find_kernel(desc, entry_of(kTables, row), "lookup"), copy);
}

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool dry) {
    if (row.algorithm == std::string_view("pairs")) return make_pair(desc, row, dry);
    if (row.algorithm == std::string_view("table")) return make_table(desc, row, dry);
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
