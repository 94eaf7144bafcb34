// How the rows of a block are cut into panels, each as high as a register tile at most.
#pragma once

#include <cstdint>

#include "simd/vec.hpp"

namespace thew {
namespace {

// A block's rows are cut into panels whose heights differ by at most one: a short last one would waste multipliers.
// Where a load brings several rows (`together`), panels differ by that many, and the last one is as high as rows are
// left. Where the rows come in units (Blocking::unit), each unit is cut by itself.
struct Panels {
    struct Run {
        int height;
        std::int64_t count;
    };
    std::int64_t unit, in_unit, units, count;
    std::int64_t least, higher;  // height of the lower ones; how many of a unit's, its first, are higher
    int together, missing;       // rows that the last one lacks
    Run runs[3];                 // of neighbours of one height, in a unit; some may be none

    Panels(std::int64_t block_rows, int most, int together_rows, std::int64_t unit_rows = 0)
        : unit(unit_rows > 0 ? unit_rows : block_rows),
          in_unit((unit + most - 1) / most),
          units(unit_rows > 0 ? block_rows / unit_rows : 1),
          count(units * in_unit),
          together(together_rows) {
        const std::int64_t groups = (unit + together - 1) / together;
        least = groups / in_unit * together;
        higher = groups % in_unit;
        missing = static_cast<int>(groups * together - unit);
        const int low = static_cast<int>(least), short_last = missing > 0 ? 1 : 0;
        runs[0] = {low + together, higher};
        runs[1] = {low, in_unit - higher - short_last};
        runs[2] = {low - missing, short_last};
    }
    int height(std::int64_t panel) const {
        const std::int64_t within = panel % in_unit;
        const int lacks = within + 1 == in_unit ? missing : 0;
        return static_cast<int>(least) + (within < higher ? together : 0) - lacks;
    }
    std::int64_t row(std::int64_t panel) const {  // its first one, of one unit
        const std::int64_t first = panel * least + (panel < higher ? panel : higher) * together;
        return first < unit ? first : unit;  // past the last one: the unit's end
    }
    // Calls visit(height, count) for the runs of all units, in order.
    template <class Visit>
    THEW_INLINE void each_run(const Visit& visit) const {
        for (std::int64_t left = units; left > 0; --left) {
            for (const Run& run : runs) {
                if (run.count > 0) visit(run.height, run.count);
            }
        }
    }
};

}  // namespace
}  // namespace thew
