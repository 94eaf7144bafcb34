// Steps of where(condition, a, b).
#include "kernels/elementwise_step.hpp"
#include "kernels/select/contract.hpp"

namespace thew {
namespace {

const std::initializer_list<const Table<OpEntry>*> kTables = THEW_TABLES(base, select_table);

class WhereStep : public Step {
public:
    WhereStep(const StridedLoop& loop, LeafKernel kernel) : loop_(loop), kernel_(kernel) {}
    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte*) const override {
        std::byte* data[] = {static_cast<std::byte*>(outputs[0].data), static_cast<std::byte*>(inputs[1].data),
                             static_cast<std::byte*>(inputs[2].data), static_cast<std::byte*>(inputs[0].data)};
        run_loop(loop_, data, workers, kernel_, nullptr);
    }

private:
    StridedLoop loop_;
    LeafKernel kernel_;
};

std::vector<const Row*> rows() { return rows_of(kTables); }

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    require_counts(desc, 3, 3);
    const DType dtype = desc.outputs[0].dtype;
    require(desc.op == "where", where(desc) + "the op must be where");
    require_dtype(desc, desc.inputs[0], row.a, "the condition");
    require_dtype(desc, desc.inputs[1], dtype, "input 1");
    require_dtype(desc, desc.inputs[2], dtype, "input 2");
    const Tensor views[] = {desc.outputs[0], desc.inputs[1], desc.inputs[2], desc.inputs[0]};
    return std::make_unique<WhereStep>(plan_loop(views, where(desc)),
                                       find_kernel(desc, entry_of(kTables, row), dtype_name(dtype)));
}

}  // namespace

extern const Family select_family{"select", rows, make};

}  // namespace thew
