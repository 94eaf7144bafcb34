// resize: a table of indices and weights an axis, in fp64, after ONNX's formulas. It is separable, so axes run one
// after the other, in the order that takes least. Cubic weights: R. Keys, Cubic Convolution Interpolation, 1981.
#include <algorithm>
#include <cmath>

#include "kernels/dispatch.hpp"
#include "kernels/move/sample_step.hpp"

namespace thew {
namespace {

struct Rules {
    std::string mode, coordinates, rounding, policy;
    bool antialias, exclude_outside;
    double cubic;
};

struct Resized {
    std::int64_t extent, output;
    double scale;
};

Rules read_rules(const StepDesc& desc) {
    const Attributes& a = desc.attributes;
    Rules rules{a.text("mode", "nearest"),
                a.text("coordinate_transformation_mode", "half_pixel"),
                a.text("nearest_mode", "round_prefer_floor"),
                a.text("keep_aspect_ratio_policy", "stretch"),
                a.integer("antialias", 0) != 0,
                a.integer("exclude_outside", 0) != 0,
                a.real("cubic_coeff_a", -0.75)};
    const auto one_of = [&](const char* name, const std::string& value, std::initializer_list<const char*> known) {
        require(std::any_of(known.begin(), known.end(), [&](const char* word) { return value == word; }),
                where(desc) + name + " must be one that kernels know, got '" + value + "'; use a Python step");
    };
    one_of("mode", rules.mode, {"nearest", "linear", "cubic"});
    one_of("coordinate_transformation_mode", rules.coordinates,
           {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"});
    one_of("nearest_mode", rules.rounding, {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"});
    one_of("keep_aspect_ratio_policy", rules.policy, {"stretch", "not_larger", "not_smaller"});
    return rules;
}

// Where in the input output element j lies.
double coordinate(const Resized& axis, std::int64_t j, const std::string& mode) {
    const double length = axis.scale * static_cast<double>(axis.extent);  // fractional where it comes from scales
    const double place = static_cast<double>(j);
    if (mode == "asymmetric") return place / axis.scale;
    if (mode == "align_corners") {
        return length == 1 ? 0.0 : place * static_cast<double>(axis.extent - 1) / (length - 1);
    }
    const double centred = (place + 0.5) / axis.scale - 0.5;
    if (mode == "pytorch_half_pixel" && axis.output == 1) return 0.0;
    if (mode == "half_pixel_symmetric") {
        return static_cast<double>(axis.extent) / 2 * (1 - static_cast<double>(axis.output) / length) + centred;
    }
    return centred;
}

double rounded(double x, const std::string& mode) {
    if (mode == "round_prefer_floor") return std::ceil(x - 0.5);
    if (mode == "round_prefer_ceil") return std::floor(x + 0.5);
    return mode == "floor" ? std::floor(x) : std::ceil(x);
}

double cubic_weight(double distance, double a) {
    const double t = std::abs(distance);
    if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? ((t - 5) * t + 8) * t * a - 4 * a : 0.0;
}

void append_samples(AxisTable& table, const Resized& axis, double x, double shrink, double first, const Rules& rules) {
    const std::size_t begin = table.weight.size();
    double total = 0;
    for (std::int64_t tap = 0; tap < table.taps; ++tap) {
        const double place = first + static_cast<double>(tap), distance = (place - x) * shrink;
        const bool outside = place < 0 || place > static_cast<double>(axis.extent - 1);
        double weight =
            rules.mode == "linear" ? std::max(1 - std::abs(distance), 0.0) : cubic_weight(distance, rules.cubic);
        if (outside && rules.exclude_outside) weight = 0;
        total += weight;
        table.weight.push_back(weight);
        table.index.push_back(static_cast<std::int64_t>(std::clamp(place, 0.0, static_cast<double>(axis.extent - 1))));
    }
    if (!(rules.exclude_outside || rules.antialias) || total == 0) return;
    for (std::size_t i = begin; i < table.weight.size(); ++i) table.weight[i] /= total;
}

void fill_table(AxisTable& table, const Resized& axis, const Rules& rules) {
    const auto extent = static_cast<double>(axis.extent);
    const double shrink = rules.antialias ? std::min(axis.scale, 1.0) : 1.0;
    const double radius = (rules.mode == "linear" ? 1 : 2) / shrink;
    if (rules.mode != "nearest") table.taps = static_cast<std::int64_t>(std::ceil(2 * radius));
    for (std::int64_t j = 0; j < axis.output; ++j) {
        // Beyond the input by its length, whatever the scale says, the border is what is read.
        const double x = std::clamp(coordinate(axis, j, rules.coordinates), -extent - 4, 2 * extent + 4);
        if (rules.mode == "nearest") {
            table.index.push_back(static_cast<std::int64_t>(std::clamp(rounded(x, rules.rounding), 0.0, extent - 1)));
        } else {
            append_samples(table, axis, x, shrink, std::floor(x - radius) + 1, rules);
        }
    }
}

// One axis each; scales come from `scales`, or from the ratio of sizes that the policy settles on.
std::vector<Resized> read_scales(const StepDesc& desc, const std::vector<int>& axes, const Rules& rules) {
    const Tensor &x = desc.inputs[0], &output = desc.outputs[0];
    std::vector<Resized> resized;
    for (int d = 0; d < x.rank; ++d) resized.push_back({x.shape[d], output.shape[d], 1.0});
    const bool by_scale = present(desc, 2) && element_count(desc.inputs[2]) > 0;
    const std::vector<double> given = constant_numbers(desc, by_scale ? 2 : 3);
    require(given.size() == axes.size(), where(desc) + "scales or sizes must be one an axis, got " +
                                             std::to_string(given.size()) + " for " + std::to_string(axes.size()));
    double least = HUGE_VAL, most = 0;
    for (std::size_t i = 0; i < given.size(); ++i) {
        Resized& axis = resized[static_cast<std::size_t>(axes[i])];
        axis.scale = by_scale ? given[i] : given[i] / static_cast<double>(std::max<std::int64_t>(axis.extent, 1));
        require(axis.scale > 0 || axis.output == 0,
                where(desc) + "scales and sizes must be greater than 0, got " + std::to_string(given[i]));
        least = std::min(least, axis.scale);
        most = std::max(most, axis.scale);
    }
    if (!by_scale && rules.policy != "stretch") {
        for (int axis : axes)
            resized[static_cast<std::size_t>(axis)].scale = rules.policy == "not_larger" ? least : most;
    }
    return resized;
}

// Elements along the axis that is innermost in memory go one by one, those along others by vectors of their neighbours.
constexpr double kInnermost = 8;

// Passes one after the other, the tensor growing or shrinking from each to the next: of two, the first is to be the one
// for which (in / out − 1) / cost is greater (W. E. Smith's rule, 1956).
void order_passes(std::vector<AxisTable>& tables, const Tensor& x, const Tensor& output) {
    const auto gain = [&](const AxisTable& table) {
        const auto in = static_cast<double>(x.shape[table.axis]), out = static_cast<double>(table.extent);
        return (in / std::max(out, 1.0) - 1) / (output.stride[table.axis] == 1 ? kInnermost : 1);
    };
    std::stable_sort(tables.begin(), tables.end(),
                     [&](const AxisTable& a, const AxisTable& b) { return gain(a) > gain(b); });
}

// Tables hold extent × taps entries: with antialiasing taps grow as the scale shrinks, so that product is checked.
constexpr double kMostTable = 1 << 26;

}  // namespace

std::unique_ptr<Step> make_resize(const StepDesc& desc, const MoveEntry& entry, bool dry) {
    require_counts(desc, 1, 4);
    const Tensor &x = desc.inputs[0], &output = desc.outputs[0];
    require_dtype(desc, x, entry.row.a, "the input");
    require(output.rank == x.rank, where(desc) + "the output must have the input's rank, got " + shape_text(output));
    require(present(desc, 2) || present(desc, 3), where(desc) + "scales or sizes must be given");
    const Rules rules = read_rules(desc);
    require(rules.mode == "nearest" || entry.weighted != nullptr,
            where(desc) + "linear and cubic need fp32 or fp64, got " + std::string(dtype_name(x.dtype)));
    const std::vector<int> axes = checked_axes(desc, desc.attributes.ints("axes"));
    std::vector<Resized> resized;
    if (!dry) resized = read_scales(desc, axes, rules);
    std::vector<AxisTable> tables;
    for (int d = 0; d < x.rank; ++d) {
        if (x.shape[d] == output.shape[d] && (dry || resized[static_cast<std::size_t>(d)].scale == 1)) continue;
        AxisTable table;
        table.axis = d;
        table.extent = output.shape[d];
        require(x.shape[d] > 0 || output.shape[d] == 0, where(desc) + "an axis must have elements to resize");
        if (!dry) {
            const Resized& axis = resized[static_cast<std::size_t>(d)];
            const double taps = rules.antialias ? 4 / std::min(axis.scale, 1.0) + 1 : 4;
            require(taps * static_cast<double>(axis.output) < kMostTable,
                    where(desc) + "scales must leave tables of a sane size, got " + std::to_string(axis.scale));
            fill_table(table, axis, rules);
        }
        tables.push_back(std::move(table));
    }
    order_passes(tables, x, output);
    return make_sampling(desc, entry, std::move(tables));
}

}  // namespace thew
