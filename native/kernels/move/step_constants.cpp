// Reading what ONNX passes as inputs and the plan holds as constants: pads, axes, scales, sizes.
#include <cmath>

#include "kernels/dispatch.hpp"
#include "kernels/move/step.hpp"
#include "kernels/strided.hpp"

namespace thew {
namespace {

double number_at(const Tensor& tensor, std::int64_t offset) {
    switch (tensor.dtype) {
        case DType::fp64: return static_cast<const double*>(tensor.data)[offset];
        case DType::fp32: return static_cast<double>(static_cast<const float*>(tensor.data)[offset]);
        case DType::int64: return static_cast<double>(static_cast<const std::int64_t*>(tensor.data)[offset]);
        case DType::int32: return static_cast<double>(static_cast<const std::int32_t*>(tensor.data)[offset]);
        default: return std::nan("");
    }
}

}  // namespace

std::vector<double> constant_numbers(const StepDesc& desc, std::size_t input) {
    const Tensor& tensor = desc.inputs[input];
    const std::string what = where(desc) + "input " + std::to_string(input);
    require(desc.constant[input] && (tensor.data != nullptr || element_count(tensor) == 0),
            what + " must be constant, got a value known at run only; use a Python step");
    require(tensor.rank <= 1, what + " must be a vector, got shape " + shape_text(tensor));
    std::vector<double> numbers;
    for (std::int64_t i = 0; i < element_count(tensor); ++i) {
        numbers.push_back(number_at(tensor, tensor.rank == 0 ? 0 : i * tensor.stride[0]));
        require(std::isfinite(numbers.back()), what + " must be finite fp32, fp64, int32 or int64 numbers");
    }
    return numbers;
}

std::vector<int> checked_axes(const StepDesc& desc, const std::vector<std::int64_t>& given) {
    const int rank = desc.inputs[0].rank;
    std::vector<int> axes;
    std::vector<bool> seen(static_cast<std::size_t>(rank), false);
    for (std::int64_t axis : given) {
        const std::int64_t front = axis < 0 ? axis + rank : axis;
        require(front >= 0 && front < rank && !seen[static_cast<std::size_t>(front)],
                where(desc) + "axes must name each dimension at most once, got " + std::to_string(axis) + " for rank " +
                    std::to_string(rank));
        seen[static_cast<std::size_t>(front)] = true;
        axes.push_back(static_cast<int>(front));
    }
    for (int axis = 0; given.empty() && axis < rank; ++axis) axes.push_back(axis);
    return axes;
}

}  // namespace thew
