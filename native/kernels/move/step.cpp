// The move family: which maker serves an op.
#include "kernels/move/step.hpp"

#include "kernels/dispatch.hpp"

namespace thew {
namespace {

const std::initializer_list<const Table<MoveEntry>*> kTables = THEW_TABLES(base, move_table);

struct MoveOp {
    const char* op;
    MoveMaker make;
};
constexpr MoveOp kOps[] = {
    {"copy", make_copy}, {"fill", make_fill}, {"gather", make_gather}, {"pad", make_pad}, {"resize", make_resize}};

std::vector<const Row*> rows() { return rows_of(kTables); }

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool dry) {
    require(desc.outputs.size() == 1, where(desc) + "must have one output, got " + std::to_string(desc.outputs.size()));
    require_dtype(desc, desc.outputs[0], row.a, "the output");
    for (const MoveOp& op : kOps) {
        if (desc.op == op.op) return op.make(desc, entry_of(kTables, row), dry);
    }
    throw PlanError(where(desc) + "the op must be one that moves elements, got '" + desc.op + "'; choose another row");
}

}  // namespace

const MoveEntry& entry_of_size(const MoveEntry& other, std::int64_t bytes) {
    for (const Table<MoveEntry>* table : kTables) {
        for (int i = 0; i < table->count; ++i) {
            const MoveEntry& entry = table->entries[i];
            if (entry.row.isa == other.row.isa && static_cast<std::int64_t>(dtype_bytes(entry.row.a)) == bytes)
                return entry;
        }
    }
    throw PlanError("move: elements must be of 1, 2, 4 or 8 bytes, got " + std::to_string(bytes));
}

extern const Family move_family{"move", rows, make};

}  // namespace thew
