// The plan side of move, one maker an op.
#pragma once

#include <initializer_list>
#include <memory>

#include "kernels/kernel.hpp"
#include "kernels/move/contract.hpp"

namespace thew {

using MoveMaker = std::unique_ptr<Step> (*)(const StepDesc& desc, const MoveEntry& entry);

std::unique_ptr<Step> make_copy(const StepDesc& desc, const MoveEntry& entry);
std::unique_ptr<Step> make_fill(const StepDesc& desc, const MoveEntry& entry);

}  // namespace thew
