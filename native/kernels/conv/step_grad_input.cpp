// conv_grad_input(dy, w): dx[b, c, h, w] = Σ over o and the taps that reach (h, w) of dy[b, o, i, j] · w[o, c, kh, kw],
// the transpose of conv's contract.
//
// For each pair of remainders (reach.hpp) the sum is a convolution of stride 1 over dy with the taps that reach them,
// turned around, and with c and o in each other's place. Those convolutions run one after another; remainders that no
// tap reaches are convolutions without taps, that is zeros.
#include <vector>

#include "kernels/conv/product.hpp"
#include "kernels/conv/reach.hpp"
#include "kernels/strided.hpp"

namespace thew {
namespace {

struct Operands {
    Tensor dy, w, dx;
    std::int64_t group;
};

Operands operands(const StepDesc& desc, DType dtype) {
    require_counts(desc, 2, 2);
    const Tensor &dy = desc.inputs[0], &w = desc.inputs[1], &dx = desc.outputs[0];
    const std::int64_t group = require_convolution(desc, dx, w, dy);
    require_dtype(desc, dy, dtype, "dy");
    require_dtype(desc, w, dtype, "w");
    require_dtype(desc, dx, dtype, "dx");
    return {as_image(dy), as_image(w), as_image(dx), group};
}

// One pair of remainders as a convolution, and where it starts in w and dx (elements).
struct Part {
    ConvProduct conv;
    std::int64_t w_first, dx_first;
};

Part part_of(const StepDesc& desc, const ConvEntry& entry, const Operands& from, const Window2d& whole,
             const Reach (&reach)[2]) {
    const std::int64_t og = from.w.shape[0] / from.group;
    ConvOperands at{from.dy, from.w, from.dx, {}, from.group, og * from.w.stride[0]};
    at.residual.rank = -1;
    at.w.shape[0] = from.dx.shape[1], at.w.stride[0] = from.w.stride[1];
    at.w.shape[1] = og, at.w.stride[1] = from.w.stride[0];
    Window2d window = whole;
    std::int64_t w_first = 0, dx_first = 0;
    bool reached = true;
    for (int axis = 0; axis < 2; ++axis) {
        const Reach& r = reach[axis];
        reached = reached && r.taps > 0;
        at.w.shape[2 + axis] = r.taps;
        at.w.stride[2 + axis] = -r.step * from.w.stride[2 + axis];
        at.y.shape[2 + axis] = r.count;
        at.y.stride[2 + axis] = whole.stride[axis] * from.dx.stride[2 + axis];
        w_first += r.tap * from.w.stride[2 + axis];
        dx_first += r.first * from.dx.stride[2 + axis];
        window.kernel[axis] = std::max<std::int64_t>(r.taps, 1);
        window.stride[axis] = 1;
        window.dilation[axis] = r.dilation;
        window.pad[axis] = r.pad;
        require(entry.algorithm != ConvAlgorithm::pointwise || r.taps == 0 || r.count == from.dy.shape[2 + axis],
                where(desc) + "a 1x1 window must reach every input or one in `strides`; use an implicit row");
    }
    if (!reached) at.w.shape[2] = 0;
    return {ConvProduct(desc, entry, at, window, false, 0), reached ? w_first : 0, dx_first};
}

class GradInputStep final : public Step {
public:
    GradInputStep(const StepDesc& desc, const ConvEntry& entry)
        : element_bytes_(static_cast<std::int64_t>(dtype_bytes(entry.trunk.row.a))) {
        const Operands at = operands(desc, entry.trunk.row.a);
        const Tensor& w = desc.inputs[1];
        const Window2d window =
            window_of(desc, desc.inputs[0].rank, std::vector<std::int64_t>(w.shape + 2, w.shape + w.rank));
        require_window(desc, window, at.dx, at.dy, false);
        require(entry.algorithm != ConvAlgorithm::direct, where(desc) + "the row must be an implicit or pointwise one");
        if (entry.algorithm == ConvAlgorithm::pointwise) require_pointwise(desc, window);
        for (std::int64_t h = 0; h < std::min(window.stride[0], at.dx.shape[2]); ++h) {
            for (std::int64_t v = 0; v < std::min(window.stride[1], at.dx.shape[3]); ++v) {
                const Reach reach[2] = {reach_of(window, 0, h, at.dx.shape[2]), reach_of(window, 1, v, at.dx.shape[3])};
                parts_.push_back(part_of(desc, entry, at, window, reach));
            }
        }
    }

    std::size_t scratch_bytes() const override {
        std::size_t bytes = 0;
        for (const Part& part : parts_) bytes = std::max(bytes, part.conv.memory().scratch_bytes());
        return bytes;
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        for (const Part& part : parts_) {
            std::byte* rest = scratch;
            Product product = part.conv.product();
            product.a = inputs[0].data;
            product.c = static_cast<std::byte*>(outputs[0].data) + part.dx_first * element_bytes_;
            product.b = part.conv.weights_for_run(
                static_cast<const std::byte*>(inputs[1].data) + part.w_first * element_bytes_, workers, rest);
            part.conv.run(product, workers, rest);
        }
    }

private:
    std::int64_t element_bytes_;
    std::vector<Part> parts_;
};

}  // namespace

std::unique_ptr<Step> make_conv_grad_input(const StepDesc& desc, const ConvEntry& entry) {
    return std::make_unique<GradInputStep>(desc, entry);
}

}  // namespace thew
