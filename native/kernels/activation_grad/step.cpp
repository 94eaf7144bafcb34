// Steps of activation_grad: which activation, and its parameters or their defaults.
#include <algorithm>
#include <limits>

#include "kernels/activation_grad/contract.hpp"
#include "kernels/elementwise_step.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<OpEntry>*> kTables THEW_TABLES(base, activation_grad_table);
constexpr double kMost = std::numeric_limits<double>::infinity();

struct Facts {
    const char* name;
    std::size_t parameters;
    ActivationGradParameters defaults;
};
constexpr Facts kFacts[] = {
    {"clip", 2, {{-kMost, kMost}}},
    {"leaky_relu", 1, {{0.01, 0}}},
    {"thresholded_relu", 1, {{1.0, 0}}},
    {"elu", 1, {{1.0, 0}}},
    {"selu", 2, {{1.67326319217681884765625, 1.05070102214813232421875}}},
    {"celu", 1, {{1.0, 0}}},
    {"hard_sigmoid", 2, {{0.2, 0.5}}},
    {"swish", 1, {{1.0, 0}}},
    {"shrink", 2, {{0.0, 0.5}}},
};

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    require(desc.op == "activation_grad", where(desc) + "op must be activation_grad");
    require_counts(desc, 2, 2);
    require_dtype(desc, desc.inputs[0], row.a, "dy");
    require_dtype(desc, desc.inputs[1], row.a, "v");
    require_dtype(desc, desc.outputs[0], row.a, "the output");
    const std::string activation = desc.attributes.text("activation");
    const LeafKernel kernel = find_kernel(desc, entry_of(kTables, row), activation);
    const auto* facts = std::find_if(std::begin(kFacts), std::end(kFacts),
                                     [&](const Facts& known) { return activation == known.name; });
    const bool known = facts != std::end(kFacts);
    ActivationGradParameters parameters = known ? facts->defaults : ActivationGradParameters{};
    const std::vector<double> given = desc.attributes.floats("activation_parameters");
    require(given.size() <= (known ? facts->parameters : 0), where(desc) + "'" + activation + "' takes at most " +
                                                                 std::to_string(known ? facts->parameters : 0) +
                                                                 " parameters, got " + std::to_string(given.size()));
    std::copy(given.begin(), given.end(), parameters.p);
    return std::make_unique<ElementwiseStep<ActivationGradParameters>>(loop_of(desc, 2), kernel, parameters);
}

}  // namespace

extern const Family activation_grad_family;
const Family activation_grad_family{"activation_grad", [] { return rows_of(kTables); }, make};

}  // namespace thew
