// Every kernel family of this build, and the step that a row's name stands for. CMake lists the folders that hold a
// step.cpp in families.inc, one THEW_FAMILY(name) a line, so a family is added by adding its folder.
#include <unordered_map>

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

namespace {

struct Found {
    const Family* family;
    const Row* row;
};

// Names are composed once: a model of a hundred steps asks a few times for each.
const std::unordered_map<std::string, Found>& rows_by_name() {
    static const std::unordered_map<std::string, Found> table = [] {
        std::unordered_map<std::string, Found> found;
        for (const Family& family : families()) {
            for (const Row* row : family.rows()) found.emplace(row_name(*row), Found{&family, row});
        }
        return found;
    }();
    return table;
}

}  // namespace

std::unique_ptr<Step> make_step(const StepDesc& desc, bool dry) {
    if (!desc.stages.empty()) return make_strips(desc, dry);
    const std::string where = desc.op + " '" + desc.name + "': ";
    const auto found = rows_by_name().find(desc.kernel);
    require(found != rows_by_name().end(), where + "the kernel must be one of this build's rows, got '" + desc.kernel +
                                               "'; plan the model again on this machine");
    const auto [family, row] = found->second;
    require(dry || supported(row->isa), where + "this CPU lacks " + isa_name(row->isa) + ", which kernel '" +
                                            desc.kernel + "' needs; plan the model here");
    return family->make(desc, *row, dry);
}

}  // namespace thew
