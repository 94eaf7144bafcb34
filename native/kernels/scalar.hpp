// One element of any type, as plan-side code reads it from an attribute.
#pragma once

#include <cstddef>
#include <string>

#include "kernels/kernel.hpp"

namespace thew {

struct Scalar {
    alignas(8) std::byte bytes[8];  // the element in the first dtype_bytes(dtype) of them
};

// Conversions are NumPy's for values that the type holds.
Scalar to_scalar(double value, DType dtype);
Scalar to_scalar(std::int64_t value, DType dtype);

// An element of a floating-point type, or an integer of 32 or 64 bits (rounded beyond 2^53).
double to_real(const void* element, DType dtype);

// The attribute, an integer or a number; 0 where it is absent. Throws PlanError where it is text or not one value.
Scalar scalar_attribute(const Attributes& attributes, const std::string& name, DType dtype);

}  // namespace thew
