// Reads an epilogue from a step's attributes: `activation` and `activation_parameters`, defaults as in ONNX.
#include "kernels/activation_parse.hpp"

#include <array>
#include <limits>

#include "base/error.hpp"

namespace thew {
namespace {

struct Facts {
    const char* name;
    Activation activation;
    int parameters;
    double p0, p1;  // the defaults
};
constexpr double kMost = std::numeric_limits<double>::infinity();
constexpr std::array<Facts, 11> kActivations{{{"", Activation::none, 0, 0, 0},
                                              {"relu", Activation::relu, 0, 0, 0},
                                              {"clip", Activation::clip, 2, -kMost, kMost},
                                              {"leaky_relu", Activation::leaky_relu, 1, 0.01, 0},
                                              {"hard_swish", Activation::hard_swish, 0, 0, 0},
                                              {"hard_sigmoid", Activation::hard_sigmoid, 2, 0.2, 0.5},
                                              {"sigmoid", Activation::sigmoid, 0, 0, 0},
                                              {"silu", Activation::silu, 0, 0, 0},
                                              {"tanh", Activation::tanh, 0, 0, 0},
                                              {"gelu", Activation::gelu, 0, 0, 0},
                                              {"elu", Activation::elu, 1, 1.0, 0}}};

const Facts& find_facts(const std::string& name) {
    for (const Facts& facts : kActivations) {
        if (name == facts.name) return facts;
    }
    throw PlanError("attribute 'activation': must be one that kernels can fuse, got '" + name +
                    "'; leave it as a step of its own");
}

}  // namespace

Activation parse_activation(const std::string& name) { return find_facts(name).activation; }

Epilogue parse_epilogue(const Attributes& attributes) {
    const std::string name = attributes.text("activation");
    const Facts& facts = find_facts(name);
    auto given = attributes.floats("activation_parameters");
    require(given.size() <= static_cast<std::size_t>(facts.parameters),
            "attribute 'activation_parameters': '" + std::string(facts.name) + "' takes at most " +
                std::to_string(facts.parameters) + ", got " + std::to_string(given.size()));
    return {facts.activation, given.size() > 0 ? given[0] : facts.p0, given.size() > 1 ? given[1] : facts.p1};
}

}  // namespace thew
