// The step of every elementwise family: a strided loop, one leaf kernel, and the parameters that the family read from
// the step's attributes. Compiled once per family, never in kernel units.
#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/dispatch.hpp"
#include "kernels/leaf.hpp"
#include "kernels/strided.hpp"

namespace thew {

inline LeafKernel find_kernel(const StepDesc& desc, const OpEntry& entry, const std::string& op) {
    for (int i = 0; i < entry.count; ++i) {
        if (op == entry.kernels[i].op) return entry.kernels[i].run;
    }
    throw PlanError(where(desc) + "the op must be one that row " + row_name(entry.row) + " has, got '" + op +
                    "'; choose another row or a Python step");
}

// Runs operands (output, inputs…): `inputs` says which of the step's inputs take part, in the kernel's order.
template <class Parameters>
class ElementwiseStep : public Step {
public:
    ElementwiseStep(StridedLoop loop, LeafKernel kernel, Parameters parameters)
        : loop_(loop), kernel_(kernel), parameters_(parameters) {}

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte*) const override {
        std::byte* data[kMaxOperands] = {static_cast<std::byte*>(outputs[0].data)};
        for (int n = 1; n < loop_.operands; ++n) data[n] = static_cast<std::byte*>(inputs[n - 1].data);
        run_loop(loop_, data, workers, kernel_, &parameters_);
    }

protected:
    StridedLoop loop_;
    LeafKernel kernel_;
    Parameters parameters_;
};

// The loop over a step's output and its first `inputs` inputs.
inline StridedLoop loop_of(const StepDesc& desc, int inputs) {
    std::vector<Tensor> views{desc.outputs[0]};
    for (int n = 0; n < inputs; ++n) views.push_back(desc.inputs[static_cast<std::size_t>(n)]);
    return plan_loop(views, where(desc));
}

}  // namespace thew
