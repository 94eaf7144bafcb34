// Steps of cast: the input's type picks the row, the output's the kernel.
#include "kernels/cast/contract.hpp"
#include "kernels/elementwise_step.hpp"

namespace thew {
namespace {

const std::initializer_list<const Table<OpEntry>*> kTables = {
    THEW_TABLE_LIST(base, cast_float) THEW_TABLE_LIST(base, cast_signed) THEW_TABLE_LIST(base, cast_unsigned)};

struct Nothing {};

std::vector<const Row*> rows() { return rows_of(kTables); }

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    require_counts(desc, 1, desc.op == "cast_like" ? 2 : 1);  // the second gives its type only
    require_dtype(desc, desc.inputs[0], row.a, "the input");
    const LeafKernel kernel = find_kernel(desc, entry_of(kTables, row), dtype_name(desc.outputs[0].dtype));
    return std::make_unique<ElementwiseStep<Nothing>>(loop_of(desc, 1), kernel, Nothing{});
}

}  // namespace

extern const Family cast_family{"cast", rows, make};

}  // namespace thew
