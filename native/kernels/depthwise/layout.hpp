// From a depthwise convolution's tensors to a kernel's arguments, and the memory of a step. Plan side only.
#pragma once

#include <algorithm>

#include "base/aligned.hpp"
#include "kernels/activation_parse.hpp"
#include "kernels/depthwise/contract.hpp"
#include "kernels/depthwise/gradient.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/scalar.hpp"
#include "kernels/strided.hpp"
#include "kernels/window.hpp"

namespace thew {

// The tensors of a step as 2-d images.
struct DepthwiseOperands {
    Tensor x, w, y;
};

inline DepthwiseOperands depthwise_operands(const StepDesc& desc, const Row& row) {
    require_counts(desc, 2, 4);
    const Tensor &x = desc.inputs[0], &w = desc.inputs[1], &y = desc.outputs[0];
    require((x.rank == 3 || x.rank == 4) && w.rank == x.rank && y.rank == x.rank,
            where(desc) + "x, weight and y must all have rank 3 or all rank 4, got " + std::to_string(x.rank) + ", " +
                std::to_string(w.rank) + " and " + std::to_string(y.rank));
    require_dtype(desc, x, row.a, "x");
    if (w.dtype != row.acc) require_dtype(desc, w, row.a, "weight");
    require_dtype(desc, y, row.a, "y");
    return {as_image(x), as_image(w), as_image(y)};
}

inline void check_depthwise(const StepDesc& desc, const DepthwiseOperands& at, const Row& row) {
    const std::int64_t c = at.x.shape[1], oc = at.w.shape[0];
    require(at.x.stride[1] == 1 || c == 1, where(desc) +
                                               "x must be channels-last (channel stride 1), got channel stride " +
                                               std::to_string(at.x.stride[1]) + "; convert the layout");
    const std::int64_t group = desc.attributes.integer("group", 1), width = at.w.shape[1];
    if (row.nr == 0) {
        require(c > 0 && group == c && width == 1 && oc > 0 && oc % c == 0,
                where(desc) + "weight must be (c·m, 1, kh, kw) and group = c = " + std::to_string(c) + ", got (" +
                    std::to_string(oc) + ", " + std::to_string(width) + ", …); use a conv row");
    } else {
        require(width > 0 && (row.nr % width == 0 || width % row.nr == 0) && group > 0 && oc == c && c % group == 0 &&
                    c / group == width,
                where(desc) + "weight must be (c, c/group, kh, kw) with c = " + std::to_string(c) +
                    " and c/group a divisor or a multiple of " + std::to_string(row.nr) + ", got (" +
                    std::to_string(oc) + ", " + std::to_string(width) + ", …) in " + std::to_string(group) +
                    " groups; use a conv row");
    }
    require(at.y.shape[0] == at.x.shape[0] && at.y.shape[1] == oc,
            where(desc) + "y must be (" + std::to_string(at.x.shape[0]) + ", " + std::to_string(oc) + ", …), got (" +
                std::to_string(at.y.shape[0]) + ", " + std::to_string(at.y.shape[1]) + ", …)");
    if (present(desc, 2)) {
        if (desc.inputs[2].dtype != row.acc) require_dtype(desc, desc.inputs[2], row.a, "bias");
        require_bias(desc, oc);
    }
    if (present(desc, 3)) {
        require_dtype(desc, desc.inputs[3], at.x.dtype, "residual");
        require(same_shape(desc.inputs[3], desc.outputs[0]),
                where(desc) + "residual must have y's shape " + shape_text(desc.outputs[0]) + ", got " +
                    shape_text(desc.inputs[3]) + "; add it in a step of its own");
    }
}

inline std::int64_t padded_channels(std::int64_t c) {
    return (c + depthwise_padding - 1) / depthwise_padding * depthwise_padding;
}

inline DepthwiseArgs depthwise_arguments(const StepDesc& desc, const DepthwiseOperands& at) {
    const Tensor& w = desc.inputs[1];
    const Window2d window =
        window_of(desc, desc.inputs[0].rank, std::vector<std::int64_t>(w.shape + 2, w.shape + w.rank));
    require_window(desc, window, at.x, at.y, false);
    const std::int64_t c = at.x.shape[1];
    return {.n = at.x.shape[0],
            .c = c,
            .h = at.x.shape[2],
            .w = at.x.shape[3],
            .oh = at.y.shape[2],
            .ow = at.y.shape[3],
            .multiplier = at.w.shape[0] / c,
            .kh = window.kernel[0],
            .kw = window.kernel[1],
            .stride_h = window.stride[0],
            .stride_w = window.stride[1],
            .dilation_h = window.dilation[0],
            .dilation_w = window.dilation[1],
            .pad_top = window.pad[0],
            .pad_left = window.pad[1],
            .width = at.w.shape[1],
            .padded_c = padded_channels(c),
            .packed = nullptr,
            .zeros = nullptr,
            .epilogue = parse_epilogue(desc.attributes),
            .residual = present(desc, 3),
            .y_zero = 0,
            .low = 0,
            .high = 0};
}

// Lines of all multipliers, and the line that lies outside the image.
inline std::int64_t depthwise_lines(const DepthwiseArgs& args) {
    return args.multiplier * (args.width * args.kh * args.kw + 2) + 1;
}

// Writes the lines: of each multiplier the bias, its taps, and one that bytes use; then zeros.
template <class T>
void pack_depthwise(DepthwiseArgs& args, const Tensor& weight, const Tensor* bias, std::byte* memory) {
    auto element = [](const Tensor& tensor, std::int64_t offset) {
        const auto bytes = static_cast<std::int64_t>(dtype_bytes(tensor.dtype));
        return static_cast<T>(to_real(static_cast<const std::byte*>(tensor.data) + offset * bytes, tensor.dtype));
    };
    T* to = reinterpret_cast<T*>(memory);
    for (std::int64_t j = 0; j < args.multiplier; ++j) {
        for (std::int64_t tap = -1; tap <= args.kh * args.kw; ++tap) {
            for (std::int64_t i = 0; i < args.padded_c; ++i, ++to) {
                const std::int64_t oc = i * args.multiplier + j;
                *to = T{0};
                if (i >= args.c || tap == args.kh * args.kw) continue;
                if (tap >= 0) {
                    *to = element(weight, oc * weight.stride[0] + tap / args.kw * weight.stride[2] +
                                              tap % args.kw * weight.stride[3]);
                } else if (bias) {
                    *to = element(*bias, oc * bias->stride[0]);
                }
            }
        }
    }
    for (std::int64_t i = 0; i < args.padded_c; ++i) to[i] = T{0};
    args.packed = memory;
    args.zeros = to;
}

// Writes the vectors of narrow groups: of each the bias, and a line for each input of a group and tap; then zeros.
inline void pack_groups(DepthwiseArgs& args, std::int64_t lanes, const Tensor& weight, const Tensor* bias,
                        std::byte* memory) {
    float* to = reinterpret_cast<float*>(memory);
    for (std::int64_t block = 0; block * lanes < args.c; ++block) {
        const std::int64_t first = group_block_first(args.c, lanes, block), count = std::min(lanes, args.c - first);
        for (std::int64_t line = -1; line < args.width * args.kh * args.kw; ++line, to += lanes) {
            const std::int64_t input = line / (args.kh * args.kw), tap = line % (args.kh * args.kw);
            const std::int64_t offset =
                input * weight.stride[1] + tap / args.kw * weight.stride[2] + tap % args.kw * weight.stride[3];
            const Tensor* tensor = line < 0 ? bias : &weight;
            const float* from = tensor ? static_cast<const float*>(tensor->data) + (line < 0 ? 0 : offset) : nullptr;
            for (std::int64_t k = 0; k < lanes; ++k) {
                to[k] = from && k < count ? from[(first + k) * tensor->stride[0]] : 0.0f;
            }
        }
    }
    std::fill_n(to, args.padded_c, 0.0f);
    args.packed = memory;
    args.zeros = to;
}

inline void pack_depthwise(DepthwiseArgs& args, const Row& row, const Tensor& weight, const Tensor* bias,
                           std::byte* memory) {
    if (row.nr > 0) return pack_groups(args, row.nr, weight, bias, memory);
    row.acc == DType::fp32 ? pack_depthwise<float>(args, weight, bias, memory)
                           : pack_depthwise<double>(args, weight, bias, memory);
}

inline DepthwiseViews depthwise_views(const Tensor& image, const Tensor& result, const Tensor& residual) {
    const Tensor x = as_image(image), y = as_image(result), r = residual.rank > 0 ? as_image(residual) : Tensor{};
    return {x.data,      y.data,      x.stride[0], x.stride[2], x.stride[3], y.stride[0], y.stride[1],
            y.stride[2], y.stride[3], r.data,      r.stride[0], r.stride[1], r.stride[2], r.stride[3]};
}

inline RowWindow depthwise_window(const DepthwiseArgs& args) {
    return {args.n == 1 ? (args.kh - 1) * args.dilation_h + 1 : 0, args.stride_h, args.pad_top};
}

// The arguments of output rows [first, last). A tile may reach beyond the last row: what only its discarded outputs
// need is outside the image.
inline DepthwiseArgs depthwise_rows(DepthwiseArgs args, std::int64_t first, std::int64_t last) {
    args.first_row = first;
    args.oh = last;
    args.h = std::min(args.h, (last - 1) * args.stride_h - args.pad_top + (args.kh - 1) * args.dilation_h + 1);
    return args;
}

// In whole cache lines, so that what follows in scratch begins with one.
inline std::size_t packed_depthwise_bytes(const DepthwiseArgs& args, DType sum) {
    const std::size_t bytes =
        checked_bytes(static_cast<std::size_t>(depthwise_lines(args) * args.padded_c), dtype_bytes(sum));
    return (bytes + 63) / 64 * 64;
}

// step_grad_input.cpp, step_grad_weight.cpp.
std::unique_ptr<Step> make_depthwise_grad_input(const StepDesc& desc, const DepthwiseEntry& entry);
std::unique_ptr<Step> make_depthwise_grad_weight(const StepDesc& desc, const DepthwiseGradEntry& entry);

// step_bytes.cpp: qlinear_conv.
std::unique_ptr<Step> make_depthwise_bytes(const StepDesc& desc, const DepthwiseEntry& entry, bool dry);

}  // namespace thew
