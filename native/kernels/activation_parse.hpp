// The plan side of kernels/activation.hpp: from a step's attributes to an Epilogue. Not for kernel units.
#pragma once

#include <string>

#include "kernels/activation.hpp"
#include "kernels/kernel.hpp"

namespace thew {

Activation parse_activation(const std::string& name);   // "" is none; throws PlanError for an unknown name
Epilogue parse_epilogue(const Attributes& attributes);  // `activation`, `activation_parameters` or their defaults

}  // namespace thew
