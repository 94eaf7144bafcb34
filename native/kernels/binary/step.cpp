// Steps of the binary family: which ops give bool, which take an epilogue.
#include "kernels/activation_parse.hpp"
#include "kernels/binary/contract.hpp"
#include "kernels/elementwise_step.hpp"
#include "kernels/scalar.hpp"

namespace thew {
namespace {

const std::initializer_list<const Table<OpEntry>*> kTables = {
    THEW_TABLE_LIST(base, binary_fp32) THEW_TABLE_LIST(base, binary_fp64) THEW_TABLE_LIST(base, binary_integer)};

bool is_one_of(const std::string& op, std::initializer_list<const char*> names) {
    for (const char* name : names) {
        if (op == name) return true;
    }
    return false;
}

// pow with one exponent of another type, converted at every run.
class PowStep : public ElementwiseStep<BinaryParameters> {
public:
    PowStep(const StepDesc& desc, LeafKernel kernel) : ElementwiseStep(loop_of(typed(desc), 2), kernel, {}) {
        dtype_ = desc.inputs[0].dtype;
    }
    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte*) const override {
        Scalar exponent = to_scalar(to_real(inputs[1].data, inputs[1].dtype), dtype_);
        std::byte* data[] = {static_cast<std::byte*>(outputs[0].data), static_cast<std::byte*>(inputs[0].data),
                             exponent.bytes};
        run_loop(loop_, data, workers, kernel_, &parameters_);
    }

private:
    static StepDesc typed(StepDesc desc) {
        desc.inputs[1].dtype = desc.inputs[0].dtype;
        desc.inputs[1].rank = 0;
        return desc;
    }
    DType dtype_;
};

bool is_float(DType dtype) {
    return dtype == DType::fp64 || dtype == DType::fp32 || dtype == DType::fp16 || dtype == DType::bf16;
}

// Whether the exponent is one number of a type that to_real reads.
bool converts(const StepDesc& desc) {
    const Tensor& exponent = desc.inputs[1];
    const bool readable = is_float(exponent.dtype) || exponent.dtype == DType::int64 || exponent.dtype == DType::int32;
    return desc.op == "pow" && exponent.dtype != desc.inputs[0].dtype && readable && element_count(exponent) == 1 &&
           is_float(desc.inputs[0].dtype);
}

std::vector<const Row*> rows() { return rows_of(kTables); }

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    require_counts(desc, 2, 2);
    const bool compares = is_one_of(desc.op, {"equal", "greater", "less", "greater_or_equal", "less_or_equal"});
    require_dtype(desc, desc.inputs[0], row.a, "input 0");
    if (!converts(desc)) require_dtype(desc, desc.inputs[1], row.a, "input 1");
    require_dtype(desc, desc.outputs[0], compares ? DType::boolean : row.a, "the output");
    BinaryParameters parameters{parse_epilogue(desc.attributes)};
    const bool fuses = is_float(row.a) && is_one_of(desc.op, {"add", "sub", "mul", "div"});
    require(fuses || parameters.epilogue.activation == Activation::none,
            where(desc) + "only add, sub, mul and div of floating-point numbers take an activation, got '" +
                desc.attributes.text("activation") + "'; leave it as a step of its own");
    const bool truncated = desc.op == "mod" && desc.attributes.integer("fmod", 0) != 0;
    const LeafKernel kernel = find_kernel(desc, entry_of(kTables, row), truncated ? "fmod" : desc.op);
    if (converts(desc)) return std::make_unique<PowStep>(desc, kernel);
    return std::make_unique<ElementwiseStep<BinaryParameters>>(loop_of(desc, 2), kernel, parameters);
}

}  // namespace

extern const Family binary_family{"binary", rows, make};

}  // namespace thew
