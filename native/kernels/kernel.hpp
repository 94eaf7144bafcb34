// How a kernel family meets the plan. A family is a folder:
//
//   contract.hpp    the equation, layouts, alignment, aliasing and tail rule, as plain-data arguments
//   <algorithm>.hpp templates over the vector type, in an anonymous namespace
//   kernels.cpp     compiled once per ISA (THEW_ISA): fills that ISA's table of rows, exports nothing else
//   step.cpp        compiled once: checks a StepDesc, picks the row by name, makes the Step
//
// A row's fields compose its name: <op>_<algorithm>_<a>_<b>_<acc>_<mr>x<nr>x<kr>_<isa>; where the element types are
// one and there is no tile: <op>_<algorithm>_<a>_<isa>. Dispatch, tests, `thew kernels` and the planner read the table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/tensor.hpp"
#include "base/workers.hpp"
#include "cpu/caches.hpp"
#include "cpu/features.hpp"
#include "kernels/row.hpp"

namespace thew {

// Attributes of a step: those of its IR node, under the same names.
using Attribute = std::variant<std::vector<std::int64_t>, std::vector<double>, std::string>;
struct Attributes {
    std::map<std::string, Attribute> values;
    // Each returns the fallback where the name is absent and throws PlanError where the type is another.
    std::vector<std::int64_t> ints(const std::string& name, std::vector<std::int64_t> fallback = {}) const;
    std::vector<double> floats(const std::string& name, std::vector<double> fallback = {}) const;
    std::string text(const std::string& name, const std::string& fallback = "") const;
    std::int64_t integer(const std::string& name, std::int64_t fallback) const;
    double real(const std::string& name, double fallback) const;
};

// How loops are cut beside what the caches say.
struct Cuts {
    std::int64_t depth_percent = 100;   // of the depth of blocks that the model of blocking gives
    std::int64_t tiles_per_worker = 4;  // or more where they are small: lets fast cores take more than slow ones
};

// One step of a plan before it runs: `inputs` and `outputs` have shapes and strides; `data` is set only for
// constants (valid until `make` returns: a kernel packs or copies what it keeps).
struct StepDesc {
    std::string kernel;                   // a row's name
    std::string op;                       // the IR op: "conv", "relu", …; tells apart what one family computes
    std::string name;                     // the node's name, for messages
    std::vector<Tensor> inputs, outputs;  // an absent optional input has rank -1
    std::vector<bool> constant;           // one an input
    Attributes attributes;
    int threads;  // that run it
    Caches caches;
    Cuts cuts{};
    std::vector<StepDesc> stages{};  // of a "strips" step (kernels/strips.cpp); `inputs` are those of all, without what
                                     // one hands to the next
};

// Which input rows an output row needs: rows [row·stride − pad, row·stride − pad + extent), as far as they exist.
struct RowWindow {
    std::int64_t extent, stride, pad;
};

// A step ready to run. Immutable once made: run() may be called from several threads at once.
class Step {
public:
    virtual ~Step() = default;
    virtual std::size_t scratch_bytes() const { return 0; }  // wanted at run(), for all workers together
    virtual std::size_t packed_bytes() const { return 0; }   // held for good: packed weights
    // Whether constant input `index` was packed or copied by make(), so that run() never reads it and it may be freed.
    virtual bool packs(std::size_t) const { return false; }
    // `inputs` and `outputs` are as described, with data; `scratch` has scratch_bytes() and kAlignment.
    // workers.count <= StepDesc::threads.
    virtual void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const = 0;

    // Steps whose output is an image (n = 1) may offer to compute some of its rows: extent 0 says that this one does
    // not.
    virtual RowWindow row_window() const { return {0, 0, 0}; }
    // Rows [first, last) of the output on the calling thread alone. Of input 0 only the rows that they need are read,
    // of the output only they are written: `data` counts from a row 0 that may not be in memory.
    virtual void run_rows(const Tensor*, const Tensor*, std::int64_t, std::int64_t, std::byte*) const {}
};

struct Family {
    const char* name;
    std::vector<const Row*> (*rows)();  // every compiled row, whatever this CPU supports
    // Throws PlanError where the description cannot be run by `row`. When `dry` is set nothing is packed: the step
    // answers scratch_bytes() and packed_bytes() only (constants have no data then).
    std::unique_ptr<Step> (*make)(const StepDesc& desc, const Row& row, bool dry);
};

const std::vector<Family>& families();  // kernels/families.cpp: one line a family
std::string row_name(const Row& row);   // the composed name
const char* dtype_name(DType dtype);
std::size_t dtype_bytes(DType dtype);
std::unique_ptr<Step> make_step(const StepDesc& desc, bool dry);  // finds the family and row by desc.kernel
std::unique_ptr<Step> make_strips(const StepDesc& desc, bool dry);

}  // namespace thew
