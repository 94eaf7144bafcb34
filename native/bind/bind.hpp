// What the binding files share: registration functions, one a room, and the reading of Python's values.
#pragma once

#include <nanobind/nanobind.h>

#include <string>
#include <vector>

#include "exec/program.hpp"

namespace thew::bind {

namespace nb = nanobind;

void bind_data(nb::module_& module);
void bind_device(nb::module_& module);
void bind_kernels(nb::module_& module);
void bind_program(nb::module_& module);

DType dtype_from_name(const std::string& name);  // throws PlanError for a name that is unknown

// {"strides": [1, 1], "epsilon": 1e-5, "mode": "edge"}: lists of one kind, numbers (as a list of one), text.
Attributes attributes_from(const nb::dict& values);

// How a step runs, by attributes that no op has: {"threads": n} of the plan's; loops cut to the caches that each of
// them, or with {"sharing": n} of n, can count on, with {"caches": "generic"} to a small core's; {"blocking": [depth,
// near, tiles]}: the depth of blocks and what is counted on of the second level in percent, and tiles a worker. Throws
// PlanError for what is out of range.
void read_execution(StepDesc& desc, int threads);

// A dtype's name, a shape and strides in elements, checked: at most kMaxRank axes, no negative extent, no overflow.
Tensor tensor_from(const std::string& dtype, const std::vector<std::int64_t>& shape,
                   const std::vector<std::int64_t>& strides);

// None (absent), or (place, index, offset_bytes, dtype, shape, strides) with place "arena", "external", "constant" or
// "state". The last element of the latter two is a data pointer, 0 where only the description is wanted.
// A stage may name what it hands to the next: place "strip", which is nowhere yet.
Operand operand_from(nb::handle entry, bool of_stage = false);

// A step's description: all but inputs and outputs, with the (kernel, op, name, inputs, outputs, attributes) of each of
// its stages, if it has any, in full.
StepDesc step_from(const std::string& kernel, const std::string& op, const std::string& name,
                   const nb::dict& attributes, int threads, const nb::list& stages);

// Describes the operands in `desc`.
void describe_operands(StepDesc& desc, const std::vector<Operand>& inputs, const std::vector<Operand>& outputs);
std::vector<Operand> operands_from(const nb::list& entries, bool of_stage = false);

}  // namespace thew::bind
