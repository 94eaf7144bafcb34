// The plan side of move, one maker an op. A dry maker reads shapes and attributes only: constants have no data then.
#pragma once

#include <initializer_list>
#include <memory>
#include <vector>

#include "kernels/kernel.hpp"
#include "kernels/move/contract.hpp"

namespace thew {

using MoveMaker = std::unique_ptr<Step> (*)(const StepDesc& desc, const MoveEntry& entry, bool dry);

std::unique_ptr<Step> make_copy(const StepDesc& desc, const MoveEntry& entry, bool dry);
std::unique_ptr<Step> make_fill(const StepDesc& desc, const MoveEntry& entry, bool dry);
std::unique_ptr<Step> make_gather(const StepDesc& desc, const MoveEntry& entry, bool dry);
std::unique_ptr<Step> make_pad(const StepDesc& desc, const MoveEntry& entry, bool dry);
std::unique_ptr<Step> make_resize(const StepDesc& desc, const MoveEntry& entry, bool dry);

// The entry for elements of so many bytes, 1 to 8, on the instruction set of another entry.
const MoveEntry& entry_of_size(const MoveEntry& other, std::int64_t bytes);

// The elements of a constant input, of any integer or floating-point type but halves. Throws PlanError where it is not
// constant.
std::vector<double> constant_numbers(const StepDesc& desc, std::size_t input);

// The axes of an attribute or input: from the front, each once, all of them where `given` is empty. Throws PlanError.
std::vector<int> checked_axes(const StepDesc& desc, const std::vector<std::int64_t>& given);

}  // namespace thew
