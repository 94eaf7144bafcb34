// From a step's description to a family's entry: collects rows, finds the entry behind a row, and the checks of
// descriptions that every step.cpp makes. Compiled once per family, never in kernel units.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "kernels/kernel.hpp"
#include "kernels/table.hpp"

namespace thew {

template <class Entry>
std::vector<const Row*> rows_of(std::initializer_list<const Table<Entry>*> tables) {
    std::vector<const Row*> rows;
    for (const Table<Entry>* table : tables) {
        for (int i = 0; i < table->count; ++i) rows.push_back(&table->entries[i].row);
    }
    return rows;
}

// The entry that holds `row`; rows given to make() come from rows_of, so there is one.
template <class Entry>
const Entry& entry_of(std::initializer_list<const Table<Entry>*> tables, const Row& row) {
    for (const Table<Entry>* table : tables) {
        for (int i = 0; i < table->count; ++i) {
            if (&table->entries[i].row == &row) return table->entries[i];
        }
    }
    throw PlanError(std::string(row.family) + ": row is not of this family, got " + row_name(row));
}

inline std::string where(const StepDesc& desc) { return desc.op + " '" + desc.name + "': "; }

inline bool present(const StepDesc& desc, std::size_t input) {
    return input < desc.inputs.size() && desc.inputs[input].rank >= 0;
}

inline void require_counts(const StepDesc& desc, std::size_t least, std::size_t most, std::size_t outputs = 1) {
    require(desc.inputs.size() >= least && desc.inputs.size() <= most && desc.outputs.size() == outputs,
            where(desc) + "must have " + std::to_string(least) + " to " + std::to_string(most) + " inputs and " +
                (outputs == 1 ? "one output" : std::to_string(outputs) + " outputs") + ", got " +
                std::to_string(desc.inputs.size()) + " and " + std::to_string(desc.outputs.size()));
    for (std::size_t i = 0; i < least; ++i)
        require(present(desc, i), where(desc) + "input " + std::to_string(i) + " is absent");
}

inline void require_dtype(const StepDesc& desc, const Tensor& tensor, DType dtype, const char* what) {
    require(tensor.dtype == dtype, where(desc) + what + " must be " + dtype_name(dtype) + ", got " +
                                       dtype_name(tensor.dtype) + "; choose a row of that type or cast");
}

}  // namespace thew
