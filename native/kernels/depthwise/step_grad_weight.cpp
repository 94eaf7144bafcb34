// conv_grad_weight(dy, x) of a depthwise convolution: checks a step and runs it; see gradient.hpp.
#include "kernels/depthwise/layout.hpp"

namespace thew {
namespace {

class DepthwiseGradWeightStep final : public Step {
public:
    DepthwiseGradWeightStep(const StepDesc& desc, const DepthwiseGradEntry& entry) : entry_(entry) {
        require_counts(desc, 2, 2);
        const Tensor &dy = desc.inputs[0], &x = desc.inputs[1], &dw = desc.outputs[0];
        const std::int64_t group = require_convolution(desc, x, dw, dy);
        for (const Tensor* tensor : {&dy, &x, &dw}) require_dtype(desc, *tensor, entry.row.a, "every tensor");
        const Tensor given = as_image(dy), image = as_image(x), to = as_image(dw);
        const std::int64_t c = image.shape[1];
        require(c > 0 && group == c && to.shape[0] == c,
                where(desc) + "dw must be (c, 1, kh, kw) with group = c, dy and x (n, c, …), got " + shape_text(dw) +
                    ", " + shape_text(dy) + " and " + shape_text(x) + "; use an implicit row");
        require(c == 1 || (given.stride[1] == 1 && image.stride[1] == 1),
                where(desc) + "dy and x must be channels-last (channel stride 1); convert the layout");
        const Window2d window = window_of(desc, dy.rank, std::vector<std::int64_t>(dw.shape + 2, dw.shape + dw.rank));
        require_window(desc, window, image, given, false);
        args_ = {.n = image.shape[0],
                 .c = c,
                 .h = image.shape[2],
                 .w = image.shape[3],
                 .oh = given.shape[2],
                 .ow = given.shape[3],
                 .kh = window.kernel[0],
                 .kw = window.kernel[1],
                 .stride_h = window.stride[0],
                 .stride_w = window.stride[1],
                 .dilation_h = window.dilation[0],
                 .dilation_w = window.dilation[1],
                 .pad_top = window.pad[0],
                 .pad_left = window.pad[1],
                 .padded_c = padded_channels(c),
                 .x_n = image.stride[0],
                 .x_h = image.stride[2],
                 .x_w = image.stride[3],
                 .dy_n = given.stride[0],
                 .dy_h = given.stride[2],
                 .dy_w = given.stride[3],
                 .dw_c = to.stride[0],
                 .dw_h = to.stride[2],
                 .dw_w = to.stride[3]};
    }

    std::size_t scratch_bytes() const override {
        return checked_bytes(static_cast<std::size_t>(args_.kh * args_.kw * args_.padded_c),
                             dtype_bytes(entry_.row.acc));
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        entry_.run(args_, inputs[0].data, inputs[1].data, outputs[0].data, workers, scratch);
    }

private:
    const DepthwiseGradEntry& entry_;
    DepthwiseGradArgs args_{};
};

}  // namespace

std::unique_ptr<Step> make_depthwise_grad_weight(const StepDesc& desc, const DepthwiseGradEntry& entry) {
    return std::make_unique<DepthwiseGradWeightStep>(desc, entry);
}

}  // namespace thew
