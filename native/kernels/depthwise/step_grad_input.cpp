// conv_grad_input(dy, w) of a depthwise convolution, m = 1: for each pair of remainders (kernels/conv/reach.hpp) a
// depthwise convolution of stride 1 over dy with the taps that reach them, turned around.
#include <vector>

#include "kernels/conv/reach.hpp"
#include "kernels/depthwise/layout.hpp"

namespace thew {
namespace {

struct Part {
    DepthwiseArgs args;
    Tensor weight;                   // the taps, from `w_first` on
    std::int64_t w_first, dx_first;  // elements
    std::int64_t dx_stride_h, dx_stride_w;
};

class DepthwiseGradInputStep final : public Step {
public:
    DepthwiseGradInputStep(const StepDesc& desc, const DepthwiseEntry& entry) : entry_(entry), threads_(desc.threads) {
        require_counts(desc, 2, 2);
        const Tensor &dy = desc.inputs[0], &w = desc.inputs[1], &dx = desc.outputs[0];
        const std::int64_t group = require_convolution(desc, dx, w, dy);
        for (const Tensor* tensor : {&dy, &w, &dx}) require_dtype(desc, *tensor, entry.row.a, "every tensor");
        const Tensor from = as_image(dy), weight = as_image(w), to = as_image(dx);
        const std::int64_t c = to.shape[1];
        require(c > 0 && group == c && weight.shape[0] == c,
                where(desc) + "w must be (c, 1, kh, kw) with group = c, dy and dx (n, c, …), got " + shape_text(w) +
                    ", " + shape_text(dy) + " and " + shape_text(dx) + "; use an implicit row");
        require(from.stride[1] == 1 || c == 1,
                where(desc) + "dy must be channels-last (channel stride 1); convert the layout");
        const Window2d window = window_of(desc, dy.rank, std::vector<std::int64_t>(w.shape + 2, w.shape + w.rank));
        require_window(desc, window, to, from, false);
        for (std::int64_t h = 0; h < std::min(window.stride[0], to.shape[2]); ++h) {
            for (std::int64_t v = 0; v < std::min(window.stride[1], to.shape[3]); ++v) {
                const Reach reach[2] = {reach_of(window, 0, h, to.shape[2]), reach_of(window, 1, v, to.shape[3])};
                add(window, reach, from, weight, to);
            }
        }
    }

    std::size_t scratch_bytes() const override {
        std::size_t bytes = 0;
        for (const Part& part : parts_) {
            const auto own = static_cast<std::size_t>(entry_.scratch_bytes(part.args));
            bytes = std::max(
                bytes, packed_depthwise_bytes(part.args, entry_.row.acc) + own * static_cast<std::size_t>(threads_));
        }
        return bytes;
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        const auto element = static_cast<std::int64_t>(dtype_bytes(entry_.row.a));
        for (const Part& part : parts_) {
            DepthwiseArgs args = part.args;
            Tensor weight = part.weight;
            weight.data = static_cast<std::byte*>(inputs[1].data) + part.w_first * element;
            pack_depthwise(args, entry_.row, weight, nullptr, scratch);
            DepthwiseViews views = depthwise_views(inputs[0], outputs[0], Tensor{});
            views.y = static_cast<std::byte*>(views.y) + part.dx_first * element;
            views.y_h = part.dx_stride_h, views.y_w = part.dx_stride_w;
            entry_.run(args, views, workers, scratch + packed_depthwise_bytes(args, entry_.row.acc));
        }
    }

private:
    void add(const Window2d& window, const Reach (&reach)[2], const Tensor& dy, const Tensor& w, const Tensor& dx) {
        const bool reached = reach[0].taps > 0 && reach[1].taps > 0;  // else the sum is empty
        const std::int64_t c = dx.shape[1];
        Part part{};
        part.args.n = dy.shape[0], part.args.c = c, part.args.h = dy.shape[2], part.args.w = dy.shape[3];
        part.args.oh = reach[0].count, part.args.ow = reach[1].count;
        part.args.multiplier = part.args.width = part.args.stride_h = part.args.stride_w = 1;
        part.args.kh = reached ? reach[0].taps : 0, part.args.kw = reached ? reach[1].taps : 0;
        part.args.dilation_h = reach[0].dilation, part.args.dilation_w = reach[1].dilation;
        part.args.pad_top = reach[0].pad, part.args.pad_left = reach[1].pad;
        part.args.padded_c = padded_channels(c);
        part.weight = w;
        for (int axis = 0; axis < 2; ++axis) {
            part.weight.shape[2 + axis] = reach[axis].taps;
            part.weight.stride[2 + axis] = -reach[axis].step * w.stride[2 + axis];
            if (reached) part.w_first += reach[axis].tap * w.stride[2 + axis];
            part.dx_first += reach[axis].first * dx.stride[2 + axis];
        }
        part.dx_stride_h = window.stride[0] * dx.stride[2], part.dx_stride_w = window.stride[1] * dx.stride[3];
        parts_.push_back(part);
    }

    const DepthwiseEntry& entry_;
    int threads_;
    std::vector<Part> parts_;
};

}  // namespace

std::unique_ptr<Step> make_depthwise_grad_input(const StepDesc& desc, const DepthwiseEntry& entry) {
    return std::make_unique<DepthwiseGradInputStep>(desc, entry);
}

}  // namespace thew
