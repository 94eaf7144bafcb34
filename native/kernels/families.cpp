// Every kernel family of this build, and the step that a row's name stands for. CMake lists the folders that hold a
// step.cpp in families.inc, one THEW_FAMILY(name) a line, so a family is added by adding its folder.
#include "base/error.hpp"
#include "cpu/features.hpp"
#include "kernels/kernel.hpp"

namespace thew {

#define THEW_FAMILY(name) extern const Family name##_family;
#include "kernels/families.inc"
#undef THEW_FAMILY

const std::vector<Family>& families() {
    static const std::vector<Family> list{
#define THEW_FAMILY(name) name##_family,
#include "kernels/families.inc"
#undef THEW_FAMILY
    };
    return list;
}

std::unique_ptr<Step> make_step(const StepDesc& desc, bool dry) {
    for (const Family& family : families()) {
        for (const Row* row : family.rows()) {
            if (row_name(*row) != desc.kernel) continue;
            require(dry || supported(row->isa), desc.op + " '" + desc.name + "': this CPU lacks " + isa_name(row->isa) +
                                                    ", which kernel '" + desc.kernel + "' needs; plan the model here");
            return family.make(desc, *row, dry);
        }
    }
    throw PlanError(desc.op + " '" + desc.name + "': the kernel must be one of this build's rows, got '" + desc.kernel +
                    "'; plan the model again on this machine");
}

}  // namespace thew
