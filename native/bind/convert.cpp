#include "bind/bind.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "base/error.hpp"

namespace thew::bind {

DType dtype_from_name(const std::string& name) {
    for (int i = 0; i <= static_cast<int>(DType::boolean); ++i) {
        if (name == dtype_name(static_cast<DType>(i))) return static_cast<DType>(i);
    }
    throw PlanError("dtype '" + name + "': native code has no such element type");
}

Attributes attributes_from(const nb::dict& values) {
    Attributes attributes;
    for (auto [key, value] : values) {
        std::string name = nb::cast<std::string>(key);
        std::vector<std::int64_t> ints;
        std::vector<double> floats;
        if (nb::isinstance<nb::str>(value)) {
            attributes.values[name] = nb::cast<std::string>(value);
        } else if (nb::isinstance<nb::int_>(value)) {
            std::int64_t number = 0;
            require(nb::try_cast(value, number), "attribute '" + name + "': must fit 64 bits");
            attributes.values[name] = std::vector<std::int64_t>{number};
        } else if (nb::isinstance<nb::float_>(value)) {
            attributes.values[name] = std::vector<double>{nb::cast<double>(value)};
        } else if (nb::try_cast(value, ints)) {
            attributes.values[name] = std::move(ints);
        } else if (nb::try_cast(value, floats)) {
            attributes.values[name] = std::move(floats);
        } else {
            throw PlanError("attribute '" + name + "': must be text, numbers or a list of numbers");
        }
    }
    return attributes;
}

void read_execution(StepDesc& desc, int threads) {
    constexpr std::int64_t kLeastPercent = 10, kMostPercent = 1000, kMostTiles = 64;
    const std::string where = desc.op + " '" + desc.name + "': ";
    const std::int64_t own = desc.attributes.integer("threads", threads);
    require(own >= 1 && own <= threads,
            where + "threads must be from 1 to the plan's " + std::to_string(threads) + ", got " + std::to_string(own));
    desc.threads = static_cast<int>(own);
    const auto sharing = std::clamp<std::int64_t>(desc.attributes.integer("sharing", own), 1, kEveryCore);
    const bool generic = desc.attributes.text("caches") == "generic";
    desc.caches = generic ? generic_caches() : caches(static_cast<int>(sharing));
    const std::vector<std::int64_t> cuts = desc.attributes.ints("blocking");
    if (cuts.empty()) return;
    const auto within = [&](std::size_t at, std::int64_t least, std::int64_t most) {
        return cuts[at] >= least && cuts[at] <= most;
    };
    require(cuts.size() == 3 && within(0, kLeastPercent, kMostPercent) && within(1, kLeastPercent, kMostPercent) &&
                within(2, 1, kMostTiles),
            where + "blocking must be two shares in percent, from 10 to 1000, and 1 to 64 tiles a worker");
    desc.cuts = {cuts[0], cuts[2]};
    desc.caches.l2_bytes = desc.caches.l2_bytes * static_cast<std::size_t>(cuts[1]) / 100;
}

Tensor tensor_from(const std::string& dtype, const std::vector<std::int64_t>& shape,
                   const std::vector<std::int64_t>& strides) {
    require(shape.size() <= kMaxRank && strides.size() == shape.size(),
            "tensor: must have at most " + std::to_string(kMaxRank) + " axes and a stride for each, got " +
                std::to_string(shape.size()) + " extents and " + std::to_string(strides.size()) + " strides");
    Tensor tensor{};
    tensor.dtype = dtype_from_name(dtype);
    tensor.rank = static_cast<int>(shape.size());
    std::int64_t span = static_cast<std::int64_t>(dtype_bytes(tensor.dtype));
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
        tensor.shape[axis] = shape[axis];
        tensor.stride[axis] = strides[axis];
        std::int64_t reach = 0;
        bool fits = shape[axis] >= 0 && !__builtin_mul_overflow(shape[axis], strides[axis], &reach) &&
                    !__builtin_mul_overflow(reach, static_cast<std::int64_t>(8), &reach) &&
                    !__builtin_add_overflow(span, reach < 0 ? -reach : reach, &span);
        require(fits, "tensor: extents must be at least 0 and its bytes countable in 63 bits, got extent " +
                          std::to_string(shape[axis]) + " with stride " + std::to_string(strides[axis]));
    }
    return tensor;
}

Operand operand_from(nb::handle entry, bool of_stage) {
    Operand operand;
    operand.tensor.rank = -1;
    if (entry.is_none()) return operand;
    auto fields = nb::cast<nb::tuple>(entry);
    std::string place = nb::cast<std::string>(fields[0]);
    operand.index = nb::cast<std::int64_t>(fields[1]);
    operand.offset_bytes = nb::cast<std::int64_t>(fields[2]);
    operand.tensor = tensor_from(nb::cast<std::string>(fields[3]), nb::cast<std::vector<std::int64_t>>(fields[4]),
                                 nb::cast<std::vector<std::int64_t>>(fields[5]));
    if (place == "constant" || place == "state") {
        operand.place = place == "constant" ? Place::constant : Place::state;
        auto address = nb::cast<std::uintptr_t>(fields[6]);
        if (address != 0) operand.tensor.data = reinterpret_cast<std::byte*>(address) + operand.offset_bytes;
    } else if (!of_stage || place != "strip") {
        require(place == "arena" || place == "external",
                "operand: place must be 'arena', 'external', 'constant' or 'state', got '" + place + "'");
        operand.place = place == "arena" ? Place::arena : Place::external;
    }
    return operand;
}

std::vector<Operand> operands_from(const nb::list& entries, bool of_stage) {
    std::vector<Operand> operands;
    for (nb::handle entry : entries) operands.push_back(operand_from(entry, of_stage));
    return operands;
}

void describe_operands(StepDesc& desc, const std::vector<Operand>& inputs, const std::vector<Operand>& outputs) {
    for (const Operand& operand : inputs) {
        desc.inputs.push_back(operand.tensor);
        desc.constant.push_back(operand.place == Place::constant);
    }
    for (const Operand& operand : outputs) desc.outputs.push_back(operand.tensor);
}

StepDesc step_from(const std::string& kernel, const std::string& op, const std::string& name,
                   const nb::dict& attributes, int threads, const nb::list& stages) {
    StepDesc desc{kernel, op, name, {}, {}, {}, attributes_from(attributes), threads, {}};
    read_execution(desc, threads);
    for (nb::handle entry : stages) {
        auto fields = nb::cast<nb::tuple>(entry);
        StepDesc stage = step_from(nb::cast<std::string>(fields[0]), nb::cast<std::string>(fields[1]),
                                   nb::cast<std::string>(fields[2]), nb::cast<nb::dict>(fields[5]), threads, {});
        describe_operands(stage, operands_from(nb::cast<nb::list>(fields[3]), true),
                          operands_from(nb::cast<nb::list>(fields[4]), true));
        desc.stages.push_back(std::move(stage));
    }
    return desc;
}

}  // namespace thew::bind
