// Checks a depthwise convolution, repacks its weights, and runs it.
#include <algorithm>

#include "base/aligned.hpp"
#include "kernels/activation_parse.hpp"
#include "kernels/depthwise/contract.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/strided.hpp"
#include "kernels/window.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<DepthwiseEntry>*> kTables THEW_TABLES(base, depthwise_table);

class DepthwiseStep final : public Step {
public:
    DepthwiseStep(const DepthwiseEntry& entry, const DepthwiseArgs& args, int threads, std::size_t packed_bytes)
        : entry_(entry), args_(args), threads_(threads), packed_bytes_(packed_bytes) {}

    std::size_t scratch_bytes() const override {
        return static_cast<std::size_t>(entry_.scratch_bytes(args_)) * static_cast<std::size_t>(threads_);
    }
    std::size_t packed_bytes() const override { return packed_bytes_; }
    bool packs(std::size_t input) const override { return input == 1 || input == 2; }

    // Line 0 of each multiplier is the bias, line 1 + t tap t; a last line is zeros.
    template <class T>
    void pack(const Tensor& weight, const Tensor* bias) {
        packed_ = AlignedBuffer(packed_bytes_);
        T* to = packed_.as<T>();
        for (std::int64_t j = 0; j < args_.multiplier; ++j) {
            for (std::int64_t tap = -1; tap < args_.kh * args_.kw; ++tap) {
                for (std::int64_t i = 0; i < args_.padded_c; ++i, ++to) {
                    const std::int64_t oc = i * args_.multiplier + j;
                    *to = i >= args_.c ? T{0} : tap >= 0 ? weight_at<T>(weight, oc, tap) : bias_at<T>(bias, oc);
                }
            }
        }
        for (std::int64_t i = 0; i < args_.padded_c; ++i) to[i] = T{0};
        args_.packed = packed_.data();
        args_.zeros = to;
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        run_with(args_, inputs, outputs, workers, scratch);
    }
    RowWindow row_window() const override {
        return {args_.n == 1 ? (args_.kh - 1) * args_.dilation_h + 1 : 0, args_.stride_h, args_.pad_top};
    }
    void run_rows(const Tensor* inputs, const Tensor* outputs, std::int64_t first, std::int64_t last,
                  std::byte* scratch) const override {
        DepthwiseArgs args = args_;
        args.first_row = first;
        args.oh = last;
        // A tile may reach beyond the last row: what only its discarded outputs need is outside the image.
        args.h = std::min(args.h, (last - 1) * args.stride_h - args.pad_top + (args.kh - 1) * args.dilation_h + 1);
        run_with(args, inputs, outputs, Workers{1, nullptr, nullptr}, scratch);
    }

private:
    void run_with(const DepthwiseArgs& args, const Tensor* inputs, const Tensor* outputs, const Workers& workers,
                  std::byte* scratch) const {
        const Tensor x = as_image(inputs[0]), y = as_image(outputs[0]);
        const Tensor r = args.residual ? as_image(inputs[3]) : Tensor{};
        const DepthwiseViews views{x.data,      y.data,      x.stride[0], x.stride[2], x.stride[3],
                                   y.stride[0], y.stride[1], y.stride[2], y.stride[3], r.data,
                                   r.stride[0], r.stride[1], r.stride[2], r.stride[3]};
        entry_.run(args, views, workers, scratch);
    }

    template <class T>
    T weight_at(const Tensor& weight, std::int64_t oc, std::int64_t tap) const {
        return static_cast<const T*>(
            weight.data)[oc * weight.stride[0] + tap / args_.kw * weight.stride[2] + tap % args_.kw * weight.stride[3]];
    }
    template <class T>
    static T bias_at(const Tensor* bias, std::int64_t oc) {
        return bias ? static_cast<const T*>(bias->data)[oc * bias->stride[0]] : T{0};
    }

    const DepthwiseEntry& entry_;
    DepthwiseArgs args_;
    int threads_;
    std::size_t packed_bytes_;
    AlignedBuffer packed_;
};

// The tensors of a step as 2-d images.
struct Operands {
    Tensor x, w, y;
};

Operands operands(const StepDesc& desc, const Row& row) {
    require_counts(desc, 2, 4);
    const Tensor &x = desc.inputs[0], &w = desc.inputs[1], &y = desc.outputs[0];
    require((x.rank == 3 || x.rank == 4) && w.rank == x.rank && y.rank == x.rank,
            where(desc) + "x, weight and y must all have rank 3 or all rank 4, got " + std::to_string(x.rank) + ", " +
                std::to_string(w.rank) + " and " + std::to_string(y.rank));
    require_dtype(desc, x, row.a, "x");
    require_dtype(desc, w, row.a, "weight");
    require_dtype(desc, y, row.a, "y");
    return {as_image(x), as_image(w), as_image(y)};
}

void check(const StepDesc& desc, const Operands& at) {
    const std::int64_t c = at.x.shape[1], oc = at.w.shape[0];
    require(at.x.stride[1] == 1 || c == 1, where(desc) +
                                               "x must be channels-last (channel stride 1), got channel stride " +
                                               std::to_string(at.x.stride[1]) + "; convert the layout");
    require(desc.constant[1] && (!present(desc, 2) || desc.constant[2]),
            where(desc) + "weight and bias must be constants; use a conv row");
    require(c > 0 && desc.attributes.integer("group", 1) == c && at.w.shape[1] == 1 && oc > 0 && oc % c == 0,
            where(desc) + "weight must be (c·m, 1, kh, kw) and group = c = " + std::to_string(c) + ", got (" +
                std::to_string(oc) + ", " + std::to_string(at.w.shape[1]) + ", …); use a conv row");
    require(at.y.shape[0] == at.x.shape[0] && at.y.shape[1] == oc,
            where(desc) + "y must be (" + std::to_string(at.x.shape[0]) + ", " + std::to_string(oc) + ", …), got (" +
                std::to_string(at.y.shape[0]) + ", " + std::to_string(at.y.shape[1]) + ", …)");
    if (present(desc, 2)) {
        require_dtype(desc, desc.inputs[2], at.x.dtype, "bias");
        require(desc.inputs[2].rank == 1 && desc.inputs[2].shape[0] == oc,
                where(desc) + "bias must be (" + std::to_string(oc) + ",)");
    }
    if (present(desc, 3)) {
        require_dtype(desc, desc.inputs[3], at.x.dtype, "residual");
        require(same_shape(desc.inputs[3], desc.outputs[0]),
                where(desc) + "residual must have y's shape " + shape_text(desc.outputs[0]) + ", got " +
                    shape_text(desc.inputs[3]) + "; add it in a step of its own");
    }
}

DepthwiseArgs arguments(const StepDesc& desc, const Operands& at) {
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
            .padded_c = (c + depthwise_padding - 1) / depthwise_padding * depthwise_padding,
            .packed = nullptr,
            .zeros = nullptr,
            .epilogue = parse_epilogue(desc.attributes),
            .residual = present(desc, 3)};
}

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool dry) {
    const Operands at = operands(desc, row);
    check(desc, at);
    const DepthwiseArgs args = arguments(desc, at);
    const std::int64_t lines = args.multiplier * (args.kh * args.kw + 1) + 1;
    const std::size_t bytes = checked_bytes(static_cast<std::size_t>(lines * args.padded_c), dtype_bytes(row.a));
    auto step = std::make_unique<DepthwiseStep>(entry_of(kTables, row), args, desc.threads, bytes);
    if (dry) return step;
    const Tensor* bias = present(desc, 2) ? &desc.inputs[2] : nullptr;
    row.a == DType::fp32 ? step->pack<float>(at.w, bias) : step->pack<double>(at.w, bias);
    return step;
}

}  // namespace

extern const Family depthwise_family;
const Family depthwise_family{"depthwise", [] { return rows_of(kTables); }, make};

}  // namespace thew
