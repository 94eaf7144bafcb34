// Where steps with packed weights meet the family's table.
#pragma once

#include "kernels/kernel.hpp"

namespace thew {

std::vector<const Row*> packed_gemv_rows();
std::unique_ptr<Step> make_packed_gemv(const StepDesc& desc, const Row& row, bool dry);

}  // namespace thew
