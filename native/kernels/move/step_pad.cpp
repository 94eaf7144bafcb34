// pad by repeating what is there: each padded axis is a table of where its elements come from.
#include <algorithm>

#include "kernels/dispatch.hpp"
#include "kernels/move/sample_step.hpp"

namespace thew {
namespace {

// Where element `place` of a padded axis comes from; negative places and those from `extent` on are padding.
std::int64_t source_of(const std::string& mode, std::int64_t place, std::int64_t extent) {
    if (mode == "edge" || extent == 1) return std::clamp<std::int64_t>(place, 0, extent - 1);
    const std::int64_t period = mode == "wrap" ? extent : 2 * (extent - 1);
    const std::int64_t folded = (place % period + period) % period;
    return mode == "wrap" ? folded : std::min(folded, period - folded);
}

// Crops first (negative pads), then pads what is left.
void fill_table(AxisTable& table, const std::string& mode, std::int64_t extent, std::int64_t before, std::int64_t after,
                const std::string& where) {
    const std::int64_t cropped = std::max<std::int64_t>(-before, 0);
    const std::int64_t left = extent - cropped - std::max<std::int64_t>(-after, 0);
    require(left >= 0 && table.extent == extent + before + after, where + "the output's extent must be the input's " +
                                                                      std::to_string(extent) + " and its pads, got " +
                                                                      std::to_string(table.extent));
    require(left > 0 || table.extent == 0, where + "pads must leave something to repeat");
    for (std::int64_t j = 0; j < table.extent; ++j) {
        table.index.push_back(cropped + source_of(mode, j - std::max<std::int64_t>(before, 0), left));
    }
}

}  // namespace

std::unique_ptr<Step> make_pad(const StepDesc& desc, const MoveEntry& entry, bool dry) {
    require_counts(desc, 2, 4);
    require_dtype(desc, desc.inputs[0], entry.row.a, "the input");
    const Tensor &x = desc.inputs[0], &output = desc.outputs[0];
    const std::string mode = desc.attributes.text("mode", "constant");
    require(
        mode == "edge" || mode == "reflect" || mode == "wrap",
        where(desc) + "mode must be edge, reflect or wrap, got '" + mode + "'; constant padding is a fill and a copy");
    require(output.rank == x.rank, where(desc) + "the output must have the input's rank, got " + shape_text(output));
    std::vector<std::int64_t> before(static_cast<std::size_t>(x.rank)), after = before;
    if (!dry) {
        const std::vector<double> pads = constant_numbers(desc, 1);
        std::vector<std::int64_t> given;
        if (present(desc, 3)) {
            for (double axis : constant_numbers(desc, 3)) given.push_back(static_cast<std::int64_t>(axis));
        }
        const std::vector<int> axes =
            present(desc, 3) && given.empty() ? std::vector<int>{} : checked_axes(desc, given);
        require(pads.size() == 2 * axes.size(), where(desc) + "pads must be two numbers an axis, got " +
                                                    std::to_string(pads.size()) + " for " +
                                                    std::to_string(axes.size()));
        for (std::size_t i = 0; i < axes.size(); ++i) {
            before[static_cast<std::size_t>(axes[i])] = static_cast<std::int64_t>(pads[i]);
            after[static_cast<std::size_t>(axes[i])] = static_cast<std::int64_t>(pads[i + axes.size()]);
        }
    }
    std::vector<AxisTable> tables;
    for (int axis = 0; axis < x.rank; ++axis) {
        const auto at = static_cast<std::size_t>(axis);
        // Dry, an axis that keeps its extent is taken as kept; a shift (pads that cancel) costs scratch only when real.
        if (x.shape[axis] == output.shape[axis] && before[at] == 0 && after[at] == 0) continue;
        AxisTable table;
        table.axis = axis;
        table.extent = output.shape[axis];
        if (!dry) fill_table(table, mode, x.shape[axis], before[at], after[at], where(desc));
        tables.push_back(std::move(table));
    }
    return make_sampling(desc, entry, std::move(tables));
}

}  // namespace thew
