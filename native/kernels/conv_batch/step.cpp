// conv, conv_grad_input and conv_grad_weight over images that lie innermost.
#include <vector>

#include "base/aligned.hpp"
#include "kernels/activation_parse.hpp"
#include "kernels/conv_batch/contract.hpp"
#include "kernels/conv_batch/operands.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<BatchConvEntry>*> kTables THEW_TABLES(base, conv_batch_table);

void require_lanes(const StepDesc& desc, const Operands& at, const BatchConvEntry& entry) {
    require_operands(desc, at, entry.row);
    const Tensor &x = at.x, &y = at.y;
    require(x.shape[0] % entry.lanes == 0 && x.stride[0] == 1 && y.stride[0] == 1,
            where(desc) + "images must lie side by side, a multiple of " + std::to_string(entry.lanes) + ", got " +
                std::to_string(x.shape[0]) + "; use a row of the conv family");
}

class ForwardStep final : public Step {
public:
    ForwardStep(const StepDesc& desc, const BatchConvEntry& entry, bool dry)
        : entry_(entry), has_bias_(present(desc, 2)), constant_(desc.constant[1]) {
        require_counts(desc, 2, 3);
        const Operands at{as_image(desc.inputs[0]), as_image(desc.inputs[1]), as_image(desc.outputs[0])};
        require_lanes(desc, at, entry);
        conv_ = conv_of(at, conv_window(desc, at, desc.inputs[1]));
        conv_.epilogue = parse_epilogue(desc.attributes);
        if (has_bias_) {
            const Tensor& bias = desc.inputs[2];
            require_dtype(desc, bias, entry.row.a, "bias");
            require_bias(desc, conv_.oc);
            conv_.bias_stride = bias.stride[0];
        }
        bytes_ = checked_bytes(static_cast<std::size_t>(element_count(at.w)), dtype_bytes(entry.row.a));
        if (!constant_ || dry) return;
        packed_ = AlignedBuffer(bytes_);
        entry.pack(conv_, desc.inputs[1].data, packed_.data());
    }

    std::size_t scratch_bytes() const override { return constant_ ? 0 : bytes_; }
    std::size_t packed_bytes() const override { return constant_ ? bytes_ : 0; }
    bool packs(std::size_t input) const override { return input == 1 && constant_; }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        if (!constant_) entry_.pack(conv_, inputs[1].data, scratch);
        entry_.run(conv_, inputs[0].data, constant_ ? packed_.data() : scratch, has_bias_ ? inputs[2].data : nullptr,
                   outputs[0].data, workers);
    }

private:
    const BatchConvEntry& entry_;
    BatchConv conv_{};
    bool has_bias_, constant_;
    std::size_t bytes_ = 0;
    AlignedBuffer packed_;
};

class GradInputStep final : public Step {
public:
    GradInputStep(const StepDesc& desc, const BatchConvEntry& entry)
        : entry_(entry), element_bytes_(static_cast<std::int64_t>(dtype_bytes(entry.row.a))) {
        require_counts(desc, 2, 2);
        const Operands at{as_image(desc.outputs[0]), as_image(desc.inputs[1]), as_image(desc.inputs[0])};
        require_lanes(desc, at, entry);
        const Window2d found = conv_window(desc, at, desc.inputs[1]);
        for (std::int64_t h = 0; h < std::min(found.stride[0], at.x.shape[2]); ++h) {
            for (std::int64_t w = 0; w < std::min(found.stride[1], at.x.shape[3]); ++w) {
                parts_.push_back(part_of(at, found,
                                         {reach_of(found, 0, h, at.x.shape[2]),  //
                                          reach_of(found, 1, w, at.x.shape[3])}));
            }
        }
        bytes_ = checked_bytes(static_cast<std::size_t>(element_count(at.w)), dtype_bytes(entry.row.a));
    }

    std::size_t scratch_bytes() const override { return bytes_; }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        for (const ConvPart& part : parts_) {
            entry_.pack(part.conv, static_cast<const std::byte*>(inputs[1].data) + part.w_first * element_bytes_,
                        scratch);
            entry_.run(part.conv, inputs[0].data, scratch, nullptr,
                       static_cast<std::byte*>(outputs[0].data) + part.dx_first * element_bytes_, workers);
        }
    }

private:
    const BatchConvEntry& entry_;
    std::int64_t element_bytes_;
    std::vector<ConvPart> parts_;
    std::size_t bytes_;
};

class GradWeightStep final : public Step {
public:
    GradWeightStep(const StepDesc& desc, const BatchConvEntry& entry) : entry_(entry) {
        require_counts(desc, 2, 2);
        const Operands at{as_image(desc.inputs[1]), as_image(desc.outputs[0]), as_image(desc.inputs[0])};
        require_lanes(desc, at, entry);
        conv_ = conv_of(at, conv_window(desc, at, desc.outputs[0]));
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte*) const override {
        entry_.grad_weight(conv_, inputs[0].data, inputs[1].data, outputs[0].data, workers);
    }

private:
    const BatchConvEntry& entry_;
    BatchConv conv_{};
};

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool dry) {
    const BatchConvEntry& entry = entry_of(kTables, row);
    if (desc.op == "conv_grad_input") return std::make_unique<GradInputStep>(desc, entry);
    if (desc.op == "conv_grad_weight") return std::make_unique<GradWeightStep>(desc, entry);
    require(desc.op == "conv", where(desc) + "op must be conv, conv_grad_input or conv_grad_weight");
    return std::make_unique<ForwardStep>(desc, entry, dry);
}

}  // namespace

extern const Family conv_batch_family;
const Family conv_batch_family{"conv_batch", [] { return rows_of(kTables); }, make};

}  // namespace thew
