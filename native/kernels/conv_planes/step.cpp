// conv, conv_grad_input and conv_grad_weight by planes.
#include "kernels/activation_parse.hpp"
#include "kernels/conv_batch/operands.hpp"
#include "kernels/conv_planes/contract.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<PlaneConvEntry>*> kTables THEW_TABLES(base, conv_planes_table);

// The convolution of these operands, at stride 1 and with pixels of a row side by side.
BatchConv checked_conv(const StepDesc& desc, const Operands& at, const Tensor& w, const Row& row, Window2d& window) {
    require_operands(desc, at, row);
    window = conv_window(desc, at, w);
    require(window.stride[0] == 1 && window.stride[1] == 1 && element_count(at.w) > 0,
            where(desc) + "strides must be 1, and weights must not be empty; use a row of the conv family");
    for (const Tensor* image : {&at.x, &at.y}) {
        require(image->shape[3] <= 1 || image->stride[3] == 1,
                where(desc) + "pixels of a row must lie side by side, got " + shape_text(*image));
    }
    return conv_of(at, window);
}

class ForwardStep final : public Step {
public:
    ForwardStep(const StepDesc& desc, const PlaneConvEntry& entry) : entry_(entry), has_bias_(present(desc, 2)) {
        require_counts(desc, 2, 3);
        const Operands at{as_image(desc.inputs[0]), as_image(desc.inputs[1]), as_image(desc.outputs[0])};
        Window2d window;
        conv_ = checked_conv(desc, at, desc.inputs[1], entry.row, window);
        conv_.epilogue = parse_epilogue(desc.attributes);
        if (!has_bias_) return;
        const Tensor& bias = desc.inputs[2];
        require_dtype(desc, bias, entry.row.a, "bias");
        require_bias(desc, conv_.oc);
        conv_.bias_stride = bias.stride[0];
    }

    std::size_t scratch_bytes() const override { return static_cast<std::size_t>(entry_.scratch_bytes(conv_)); }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        entry_.run(conv_, inputs[0].data, inputs[1].data, has_bias_ ? inputs[2].data : nullptr, outputs[0].data,
                   workers, scratch);
    }

private:
    const PlaneConvEntry& entry_;
    BatchConv conv_{};
    bool has_bias_;
};

class GradInputStep final : public Step {
public:
    GradInputStep(const StepDesc& desc, const PlaneConvEntry& entry) : entry_(entry) {
        require_counts(desc, 2, 2);
        const Operands at{as_image(desc.outputs[0]), as_image(desc.inputs[1]), as_image(desc.inputs[0])};
        Window2d window;
        checked_conv(desc, at, desc.inputs[1], entry.row, window);
        part_ = part_of(at, window, {reach_of(window, 0, 0, at.x.shape[2]), reach_of(window, 1, 0, at.x.shape[3])});
    }

    std::size_t scratch_bytes() const override { return static_cast<std::size_t>(entry_.scratch_bytes(part_.conv)); }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        const auto bytes = static_cast<std::int64_t>(dtype_bytes(entry_.row.a));
        entry_.run(part_.conv, inputs[0].data, static_cast<const std::byte*>(inputs[1].data) + part_.w_first * bytes,
                   nullptr, outputs[0].data, workers, scratch);
    }

private:
    const PlaneConvEntry& entry_;
    ConvPart part_{};
};

class GradWeightStep final : public Step {
public:
    GradWeightStep(const StepDesc& desc, const PlaneConvEntry& entry) : entry_(entry), threads_(desc.threads) {
        require_counts(desc, 2, 2);
        const Operands at{as_image(desc.inputs[1]), as_image(desc.outputs[0]), as_image(desc.inputs[0])};
        Window2d window;
        conv_ = checked_conv(desc, at, desc.outputs[0], entry.row, window);
        require((conv_.kw == 1 || conv_.w_w == 1) && (conv_.kh == 1 || conv_.w_h == conv_.kw),
                where(desc) + "taps of dw must be dense, got " + shape_text(desc.outputs[0]));
    }

    std::size_t scratch_bytes() const override {
        return static_cast<std::size_t>(entry_.grad_weight_scratch_bytes(conv_, threads_));
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        entry_.grad_weight(conv_, inputs[0].data, inputs[1].data, outputs[0].data, workers, scratch);
    }

private:
    const PlaneConvEntry& entry_;
    BatchConv conv_{};
    int threads_;
};

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    const PlaneConvEntry& entry = entry_of(kTables, row);
    if (desc.op == "conv_grad_input") return std::make_unique<GradInputStep>(desc, entry);
    if (desc.op == "conv_grad_weight") return std::make_unique<GradWeightStep>(desc, entry);
    require(desc.op == "conv", where(desc) + "op must be conv, conv_grad_input or conv_grad_weight");
    return std::make_unique<ForwardStep>(desc, entry);
}

}  // namespace

extern const Family conv_planes_family;
const Family conv_planes_family{"conv_planes", [] { return rows_of(kTables); }, make};

}  // namespace thew
