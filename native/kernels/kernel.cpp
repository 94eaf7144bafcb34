// Names of rows and types, and the typed reading of a step's attributes.
#include "kernels/kernel.hpp"

#include <array>

#include "base/error.hpp"

namespace thew {
namespace {

struct DTypeFacts {
    const char* name;
    std::size_t bytes;
};
constexpr std::array<DTypeFacts, 13> kDTypes{{{"fp64", 8},
                                              {"fp32", 4},
                                              {"fp16", 2},
                                              {"bf16", 2},
                                              {"int64", 8},
                                              {"int32", 4},
                                              {"int16", 2},
                                              {"int8", 1},
                                              {"uint64", 8},
                                              {"uint32", 4},
                                              {"uint16", 2},
                                              {"uint8", 1},
                                              {"bool", 1}}};

template <class T>
T attribute(const Attributes& attributes, const std::string& name, T fallback, const char* kind) {
    auto found = attributes.values.find(name);
    if (found == attributes.values.end()) return fallback;
    const T* value = std::get_if<T>(&found->second);
    require(value != nullptr, "attribute '" + name + "': must be " + kind);
    return *value;
}

}  // namespace

const char* dtype_name(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)].name; }
std::size_t dtype_bytes(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)].bytes; }

std::string row_name(const Row& row) {
    std::string name = std::string(row.family) + "_" + row.algorithm + "_" + dtype_name(row.a);
    if (row.mr > 0) {
        name += std::string("_") + dtype_name(row.b) + "_" + dtype_name(row.acc) + "_" + std::to_string(row.mr) + "x" +
                std::to_string(row.nr) + "x" + std::to_string(row.kr);
    }
    return name + "_" + isa_name(row.isa);
}

std::vector<std::int64_t> Attributes::ints(const std::string& name, std::vector<std::int64_t> fallback) const {
    return attribute(*this, name, std::move(fallback), "integers");
}
std::vector<double> Attributes::floats(const std::string& name, std::vector<double> fallback) const {
    auto found = values.find(name);
    if (found != values.end()) {
        if (const auto* whole = std::get_if<std::vector<std::int64_t>>(&found->second)) {
            return {whole->begin(), whole->end()};  // Python writes 1 where it means 1.0
        }
    }
    return attribute(*this, name, std::move(fallback), "floating-point numbers");
}
std::string Attributes::text(const std::string& name, const std::string& fallback) const {
    return attribute(*this, name, fallback, "text");
}
std::int64_t Attributes::integer(const std::string& name, std::int64_t fallback) const {
    auto list = ints(name, {fallback});
    require(list.size() == 1, "attribute '" + name + "': must be one integer, got " + std::to_string(list.size()));
    return list[0];
}
double Attributes::real(const std::string& name, double fallback) const {
    auto list = floats(name, {fallback});
    require(list.size() == 1, "attribute '" + name + "': must be one number, got " + std::to_string(list.size()));
    return list[0];
}

}  // namespace thew
