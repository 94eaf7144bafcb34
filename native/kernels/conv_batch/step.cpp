// conv, conv_grad_input and conv_grad_weight over images that lie innermost.
#include <vector>

#include "base/aligned.hpp"
#include "kernels/activation_parse.hpp"
#include "kernels/conv/reach.hpp"
#include "kernels/conv_batch/contract.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/strided.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<BatchConvEntry>*> kTables THEW_TABLES(base, conv_batch_table);

// The three tensors of a convolution, as 2-d images, whichever of them is the result.
struct Operands {
    Tensor x, w, y;
};

void require_operands(const StepDesc& desc, const Operands& at, const BatchConvEntry& entry) {
    const Tensor &x = at.x, &w = at.w, &y = at.y;
    require((x.rank == 4) && w.rank == 4 && y.rank == 4, where(desc) + "operands must all have rank 3 or all rank 4");
    for (const Tensor* tensor : {&x, &w, &y}) require_dtype(desc, *tensor, entry.row.a, "every operand");
    require(desc.attributes.integer("group", 1) == 1 && w.shape[1] == x.shape[1] && w.shape[0] == y.shape[1] &&
                x.shape[0] == y.shape[0],
            where(desc) +
                "there must be one group, with images (n, c, …), weights (oc, c, …) and results (n, oc, …), got " +
                shape_text(x) + ", " + shape_text(w) + " and " + shape_text(y));
    require(x.shape[0] % entry.lanes == 0 && x.stride[0] == 1 && y.stride[0] == 1,
            where(desc) + "images must lie side by side, a multiple of " + std::to_string(entry.lanes) + ", got " +
                std::to_string(x.shape[0]) + "; use a row of the conv family");
}

Window2d window(const StepDesc& desc, const Operands& at, const Tensor& w) {
    const Window2d window = window_of(desc, w.rank, std::vector<std::int64_t>(w.shape + 2, w.shape + w.rank));
    require_window(desc, window, at.x, at.y, false);
    return window;
}

// y = x·w as at.y, at.x and at.w say.
BatchConv conv_of(const Operands& at, const Window2d& window) {
    const Tensor &x = at.x, &w = at.w, &y = at.y;
    BatchConv conv{};
    conv.n = x.shape[0], conv.c = x.shape[1], conv.oc = y.shape[1];
    conv.in_h = x.shape[2], conv.in_w = x.shape[3], conv.out_h = y.shape[2], conv.out_w = y.shape[3];
    conv.kh = w.shape[2], conv.kw = w.shape[3];
    conv.stride_h = window.stride[0], conv.stride_w = window.stride[1];
    conv.pad_h = window.pad[0], conv.pad_w = window.pad[1];
    conv.dilation_h = window.dilation[0], conv.dilation_w = window.dilation[1];
    conv.x_c = x.stride[1], conv.x_h = x.stride[2], conv.x_w = x.stride[3];
    conv.y_c = y.stride[1], conv.y_h = y.stride[2], conv.y_w = y.stride[3];
    conv.w_o = w.stride[0], conv.w_c = w.stride[1], conv.w_h = w.stride[2], conv.w_w = w.stride[3];
    return conv;
}

class ForwardStep final : public Step {
public:
    ForwardStep(const StepDesc& desc, const BatchConvEntry& entry, bool dry)
        : entry_(entry), has_bias_(present(desc, 2)), constant_(desc.constant[1]) {
        require_counts(desc, 2, 3);
        const Operands at{as_image(desc.inputs[0]), as_image(desc.inputs[1]), as_image(desc.outputs[0])};
        require_operands(desc, at, entry);
        conv_ = conv_of(at, window(desc, at, desc.inputs[1]));
        conv_.epilogue = parse_epilogue(desc.attributes);
        if (has_bias_) {
            const Tensor& bias = desc.inputs[2];
            require_dtype(desc, bias, entry.row.a, "bias");
            require(bias.rank == 1 && bias.shape[0] == conv_.oc,
                    where(desc) + "bias must be (" + std::to_string(conv_.oc) + ",), got " + shape_text(bias));
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

// One pair of remainders as a convolution, and where it starts in w and dx (elements).
struct Part {
    BatchConv conv;
    std::int64_t w_first, dx_first;
};

class GradInputStep final : public Step {
public:
    GradInputStep(const StepDesc& desc, const BatchConvEntry& entry)
        : entry_(entry), element_bytes_(static_cast<std::int64_t>(dtype_bytes(entry.row.a))) {
        require_counts(desc, 2, 2);
        const Operands at{as_image(desc.outputs[0]), as_image(desc.inputs[1]), as_image(desc.inputs[0])};
        require_operands(desc, at, entry);
        const Window2d found = window(desc, at, desc.inputs[1]);
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
        for (const Part& part : parts_) {
            entry_.pack(part.conv, static_cast<const std::byte*>(inputs[1].data) + part.w_first * element_bytes_,
                        scratch);
            entry_.run(part.conv, inputs[0].data, scratch, nullptr,
                       static_cast<std::byte*>(outputs[0].data) + part.dx_first * element_bytes_, workers);
        }
    }

private:
    struct Reaches {
        Reach axis[2];
    };

    static Part part_of(const Operands& whole, const Window2d& found, const Reaches& reaches) {
        Operands at{whole.y, whole.w, whole.x};
        std::swap(at.w.shape[0], at.w.shape[1]);
        std::swap(at.w.stride[0], at.w.stride[1]);
        Window2d window = found;
        std::int64_t w_first = 0, dx_first = 0;
        for (int axis = 0; axis < 2; ++axis) {
            const Reach& reach = reaches.axis[axis];
            const int image = 2 + axis;
            w_first += reach.tap * whole.w.stride[image];
            dx_first += reach.first * whole.x.stride[image];
            at.w.shape[image] = reach.taps;
            at.w.stride[image] = -reach.step * whole.w.stride[image];
            at.y.shape[image] = reach.count;
            at.y.stride[image] = found.stride[axis] * whole.x.stride[image];
            window.stride[axis] = 1;
            window.dilation[axis] = reach.dilation;
            window.pad[axis] = reach.pad;
        }
        return {conv_of(at, window), w_first, dx_first};
    }

    const BatchConvEntry& entry_;
    std::int64_t element_bytes_;
    std::vector<Part> parts_;
    std::size_t bytes_;
};

class GradWeightStep final : public Step {
public:
    GradWeightStep(const StepDesc& desc, const BatchConvEntry& entry) : entry_(entry) {
        require_counts(desc, 2, 2);
        const Operands at{as_image(desc.inputs[1]), as_image(desc.outputs[0]), as_image(desc.inputs[0])};
        require_operands(desc, at, entry);
        conv_ = conv_of(at, window(desc, at, desc.outputs[0]));
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
