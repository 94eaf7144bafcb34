// The operands of an op on 8-bit integers, by their places among its inputs, and what a kernel needs of their scales
// and zero points. Plan side only.
#pragma once

#include <cstring>
#include <limits>

#include "kernels/dispatch.hpp"
#include "kernels/integer/contract.hpp"
#include "kernels/strided.hpp"

namespace thew {

// Positions among the inputs; -1 where the op has none.
struct IntegerPlaces {
    int x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias;
    int residual, residual_scale, residual_zero, sum_scale, sum_zero;
};
inline constexpr IntegerPlaces kQlinearPlaces{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13},
    kIntegerPlaces{0, -1, 2, 1, -1, 3, -1, -1, -1, -1, -1, -1, -1, -1};

inline bool has(const StepDesc& desc, int place) {
    return place >= 0 && present(desc, static_cast<std::size_t>(place));
}

inline bool is_signed_byte(const Tensor& tensor) { return tensor.dtype == DType::int8; }

// Element `index` of a vector, or the only one of a scalar.
inline const std::byte* element_at(const Tensor& tensor, std::int64_t index) {
    const auto bytes = static_cast<std::int64_t>(dtype_bytes(tensor.dtype));
    const bool one = element_count(tensor) == 1;
    return static_cast<const std::byte*>(tensor.data) + (one ? 0 : index * tensor.stride[0] * bytes);
}
inline std::int32_t byte_at(const Tensor& tensor, std::int64_t index) {
    const std::byte* at = element_at(tensor, index);
    return is_signed_byte(tensor) ? static_cast<std::int8_t>(*at) : static_cast<std::uint8_t>(*at);
}
template <class T>
T value_at(const Tensor& tensor, std::int64_t index) {
    T value;
    std::memcpy(&value, element_at(tensor, index), sizeof value);
    return value;
}

// A parameter is one number, or where `columns` is above 0 one a column.
inline void require_parameter(const StepDesc& desc, int place, DType dtype, std::int64_t columns, const char* what) {
    if (!has(desc, place)) return;
    const Tensor& tensor = desc.inputs[static_cast<std::size_t>(place)];
    require_dtype(desc, tensor, dtype, what);
    require(element_count(tensor) == 1 || (columns > 0 && tensor.rank == 1 && tensor.shape[0] == columns),
            where(desc) + what + " must be one number" +
                (columns > 0 ? " or a vector of " + std::to_string(columns) : std::string()) + ", got " +
                shape_text(tensor));
}

// Checks dtypes and the parameters' shapes; `columns` is the number of output channels or of columns.
inline void require_integer_operands(const StepDesc& desc, const IntegerPlaces& at, DType x_dtype,
                                     std::int64_t columns) {
    const Tensor &w = desc.inputs[at.w], &y = desc.outputs[0];
    require_dtype(desc, desc.inputs[at.x], x_dtype, "x");
    require(w.dtype == DType::int8 || w.dtype == DType::uint8,
            where(desc) + "weights must be int8 or uint8, got " + dtype_name(w.dtype));
    const bool scaled = at.y_scale >= 0;
    require(scaled ? y.dtype == DType::int8 || y.dtype == DType::uint8 : y.dtype == DType::int32,
            where(desc) + "y must be " + (scaled ? "int8 or uint8" : "int32") + ", got " + dtype_name(y.dtype));
    require_parameter(desc, at.x_scale, DType::fp32, 0, "x's scale");
    require_parameter(desc, at.x_zero, x_dtype, 0, "x's zero point");
    require_parameter(desc, at.w_scale, DType::fp32, columns, "the weights' scale");
    require_parameter(desc, at.w_zero, w.dtype, columns, "the weights' zero point");
    require_parameter(desc, at.y_scale, DType::fp32, 0, "y's scale");
    require_parameter(desc, at.y_zero, y.dtype, 0, "y's zero point");
    require_parameter(desc, at.bias, DType::int32, columns, "bias");
    if (has(desc, at.residual)) {
        require_dtype(desc, desc.inputs[at.residual], y.dtype, "the residual");
        for (const int place : {at.residual_scale, at.residual_zero, at.sum_scale, at.sum_zero})
            require(has(desc, place), where(desc) + "a residual must have its scale and zero point, and the sum's");
        require_parameter(desc, at.residual_scale, DType::fp32, 0, "the residual's scale");
        require_parameter(desc, at.residual_zero, y.dtype, 0, "the residual's zero point");
        require_parameter(desc, at.sum_scale, DType::fp32, 0, "the sum's scale");
        require_parameter(desc, at.sum_zero, y.dtype, 0, "the sum's zero point");
    }
    if (has(desc, at.bias)) {
        require(
            element_count(desc.inputs[at.bias]) == columns,
            where(desc) + "bias must be (" + std::to_string(columns) + ",), got " + shape_text(desc.inputs[at.bias]));
    }
}

// From a sum's step to y's, in fp32 and finite, so that no result is a NaN.
inline float finite_ratio(double ratio) {
    constexpr double kMost = std::numeric_limits<float>::max();
    return static_cast<float>(ratio < kMost ? ratio : kMost);
}

// The zero point of an operand seen as an unsigned byte.
inline std::int32_t unsigned_zero(const StepDesc& desc, const Tensor* inputs, int place, const Tensor& operand,
                                  std::int64_t column) {
    return (is_signed_byte(operand) ? 128 : 0) + (has(desc, place) ? byte_at(inputs[place], column) : 0);
}

}  // namespace thew
