// Steps of where(condition, a, b).
#include "kernels/elementwise_step.hpp"
#include "kernels/select/contract.hpp"

namespace thew {
namespace {

const std::initializer_list<const Table<OpEntry>*> kTables = THEW_TABLES(select_table);

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
    require_dtype(desc, desc.inputs[0], DType::boolean, "the condition");
    require_dtype(desc, desc.inputs[1], row.a, "input 1");
    require_dtype(desc, desc.inputs[2], row.a, "input 2");
    require_dtype(desc, desc.outputs[0], row.a, "the output");
    const Tensor views[] = {desc.outputs[0], desc.inputs[1], desc.inputs[2], desc.inputs[0]};
    return std::make_unique<WhereStep>(plan_loop(views, where(desc)), find_kernel(desc, entry_of(kTables, row), desc.op));
}

}  // namespace

extern const Family select_family{"select", rows, make};

}  // namespace thew
