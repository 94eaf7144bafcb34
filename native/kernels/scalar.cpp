// Elements from attributes.
#include "kernels/scalar.hpp"

#include <cstring>

#include "base/half.hpp"

namespace thew {
namespace {

template <class T, class From>
Scalar typed(From value) {
    Scalar scalar{};
    const T element = static_cast<T>(value);
    std::memcpy(scalar.bytes, &element, sizeof(T));
    return scalar;
}

template <class From>
Scalar convert(From value, DType dtype) {
    switch (dtype) {
        case DType::fp64: return typed<double>(value);
        case DType::fp32: return typed<float>(value);
        case DType::fp16: return typed<std::uint16_t>(to_fp16(static_cast<float>(value)));
        case DType::bf16: return typed<std::uint16_t>(to_bf16(static_cast<float>(value)));
        case DType::int64: return typed<std::int64_t>(value);
        case DType::int32: return typed<std::int32_t>(value);
        case DType::int16: return typed<std::int16_t>(value);
        case DType::int8: return typed<std::int8_t>(value);
        case DType::uint64: return typed<std::uint64_t>(value);
        case DType::uint32: return typed<std::uint32_t>(value);
        case DType::uint16: return typed<std::uint16_t>(value);
        case DType::uint8: return typed<std::uint8_t>(value);
        case DType::boolean: return typed<std::uint8_t>(value != From(0));
    }
    return {};
}

template <class T>
T element_of(const void* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

}  // namespace

double to_real(const void* element, DType dtype) {
    switch (dtype) {
        case DType::fp64: return element_of<double>(element);
        case DType::fp32: return static_cast<double>(element_of<float>(element));
        case DType::fp16: return static_cast<double>(from_fp16(element_of<std::uint16_t>(element)));
        case DType::bf16: return static_cast<double>(from_bf16(element_of<std::uint16_t>(element)));
        case DType::int64: return static_cast<double>(element_of<std::int64_t>(element));
        default: return static_cast<double>(element_of<std::int32_t>(element));
    }
}

Scalar to_scalar(double value, DType dtype) { return convert(value, dtype); }
Scalar to_scalar(std::int64_t value, DType dtype) { return convert(value, dtype); }

Scalar scalar_attribute(const Attributes& attributes, const std::string& name, DType dtype) {
    const auto found = attributes.values.find(name);
    if (found == attributes.values.end()) return {};
    if (std::holds_alternative<std::vector<std::int64_t>>(found->second)) {
        return to_scalar(attributes.integer(name, 0), dtype);
    }
    return to_scalar(attributes.real(name, 0.0), dtype);
}

}  // namespace thew
