// Products with int8 weights and a scale, on a step of the trunk.
#pragma once

#include "kernels/kernel.hpp"

namespace thew {

std::unique_ptr<Step> make_dequantised(const StepDesc& desc, const Row& row, bool dry);
std::unique_ptr<Step> matmul_step(const StepDesc& desc, const Row& row, bool dry);  // step.cpp

}  // namespace thew
