// Steps of the binary family: which ops give bool, which take an epilogue.
#include "kernels/activation_parse.hpp"
#include "kernels/binary/contract.hpp"
#include "kernels/elementwise_step.hpp"

namespace thew {
namespace {

const std::initializer_list<const Table<OpEntry>*> kTables = {
    THEW_TABLE_LIST(binary_fp32) THEW_TABLE_LIST(binary_fp64) THEW_TABLE_LIST(binary_integer)};

bool is_one_of(const std::string& op, std::initializer_list<const char*> names) {
    for (const char* name : names) {
        if (op == name) return true;
    }
    return false;
}

std::vector<const Row*> rows() { return rows_of(kTables); }

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    require_counts(desc, 2, 2);
    const bool compares = is_one_of(desc.op, {"equal", "greater", "less", "greater_or_equal", "less_or_equal"});
    for (const Tensor& input : desc.inputs) require_dtype(desc, input, row.a, "an input");
    require_dtype(desc, desc.outputs[0], compares ? DType::boolean : row.a, "the output");
    BinaryParameters parameters{parse_epilogue(desc.attributes)};
    const bool fuses = (row.a == DType::fp32 || row.a == DType::fp64) && is_one_of(desc.op, {"add", "sub", "mul", "div"});
    require(fuses || parameters.epilogue.activation == Activation::none,
            where(desc) + "only add, sub, mul and div on fp32 and fp64 take an activation, got '" +
                desc.attributes.text("activation") + "'; leave it as a step of its own");
    const bool truncated = desc.op == "mod" && desc.attributes.integer("fmod", 0) != 0;
    const LeafKernel kernel = find_kernel(desc, entry_of(kTables, row), truncated ? "fmod" : desc.op);
    return std::make_unique<ElementwiseStep<BinaryParameters>>(loop_of(desc, 2), kernel, parameters);
}

}  // namespace

extern const Family binary_family{"binary", rows, make};

}  // namespace thew
