// Checks a pooling gradient, chooses what vectors run across, and runs it.
#include "kernels/dispatch.hpp"
#include "kernels/pool_grad/contract.hpp"
#include "kernels/strided.hpp"
#include "kernels/window.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<PoolGradEntry>*> kTables THEW_TABLES(base, pool_grad_table);

class PoolGradStep final : public Step {
public:
    PoolGradStep(const PoolGradEntry& entry, const PoolGradArgs& args) : entry_(entry), args_(args) {}

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte*) const override {
        const Tensor& dy = args_.average ? inputs[0] : inputs[1];
        entry_.run(args_, args_.average ? nullptr : inputs[0].data, dy.data, outputs[0].data, workers);
    }

private:
    const PoolGradEntry& entry_;
    PoolGradArgs args_;
};

PoolStrides strides_of(const Tensor& image, bool across_images) {
    const int outer = across_images ? 1 : 0;
    return {image.stride[outer], image.stride[1 - outer], image.stride[2], image.stride[3]};
}

// Whether every operand's images are neighbours in memory, and not its channels.
bool images_are_neighbours(std::initializer_list<const Tensor*> images) {
    bool neighbours = true, channels = true;
    for (const Tensor* image : images) {
        neighbours = neighbours && image->stride[0] == 1;
        channels = channels && image->stride[1] == 1;
    }
    return neighbours && !channels;
}

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    const bool average = desc.op == "average_pool_grad";
    require(average || desc.op == "max_pool_grad", where(desc) + "op must be max_pool_grad or average_pool_grad");
    require_counts(desc, average ? 1 : 2, average ? 1 : 2);
    for (const Tensor& tensor : desc.inputs) require_dtype(desc, tensor, row.a, "every input");
    require_dtype(desc, desc.outputs[0], row.a, "dx");
    const int rank = desc.outputs[0].rank;
    const Tensor& gradient = desc.inputs[average ? 0 : 1];
    require((rank == 3 || rank == 4) && gradient.rank == rank,
            where(desc) + "dy and dx must both have rank 3 or 4, got " + std::to_string(gradient.rank) + " and " +
                std::to_string(rank));
    const Tensor dx = as_image(desc.outputs[0]), dy = as_image(gradient);
    require(
        average || same_shape(desc.inputs[0], desc.outputs[0]),
        where(desc) + "dx must have x's shape " + shape_text(desc.inputs[0]) + ", got " + shape_text(desc.outputs[0]));
    const Tensor x = average ? dx : as_image(desc.inputs[0]);
    require(dy.shape[0] == dx.shape[0] && dy.shape[1] == dx.shape[1],
            where(desc) + "dy must have dx's n and c, got " + shape_text(gradient));
    const std::string activation = desc.attributes.text("activation");
    require(activation.empty() || (activation == "relu" && !average),
            where(desc) + "activation must be relu, of max_pool_grad, or absent, got '" + activation + "'");
    const Window2d window = window_of(desc, rank, desc.attributes.ints("kernel_shape"));
    require_window(desc, window, dx, dy, desc.attributes.integer("ceil_mode", 0) != 0);

    const bool across_images = images_are_neighbours({&x, &dy, &dx});
    bool disjoint = true, covers = true, inside = true;
    for (int axis = 0; axis < 2; ++axis) {
        disjoint = disjoint && window.stride[axis] >= window.extent(axis);
        covers = covers && window.stride[axis] == window.kernel[axis] && window.dilation[axis] == 1 &&
                 window.pad[axis] == 0 && dy.shape[2 + axis] * window.stride[axis] >= dx.shape[2 + axis];
        inside = inside && window.pad[axis] == 0 &&
                 (dy.shape[2 + axis] - 1) * window.stride[axis] + window.extent(axis) <= dx.shape[2 + axis];
    }
    const PoolGradArgs args{.average = average,
                            .count_include_pad = desc.attributes.integer("count_include_pad", 0) != 0,
                            .relu = activation == "relu",
                            .disjoint = disjoint,
                            .covers = covers,
                            .inside = inside,
                            .outer = dx.shape[across_images ? 1 : 0],
                            .lanes = dx.shape[across_images ? 0 : 1],
                            .h = dx.shape[2],
                            .w = dx.shape[3],
                            .oh = dy.shape[2],
                            .ow = dy.shape[3],
                            .kh = window.kernel[0],
                            .kw = window.kernel[1],
                            .stride_h = window.stride[0],
                            .stride_w = window.stride[1],
                            .dilation_h = window.dilation[0],
                            .dilation_w = window.dilation[1],
                            .pad_top = window.pad[0],
                            .pad_left = window.pad[1],
                            .pad_bottom = window.pad_end[0],
                            .pad_right = window.pad_end[1],
                            .x = strides_of(x, across_images),
                            .dy = strides_of(dy, across_images),
                            .dx = strides_of(dx, across_images)};
    return std::make_unique<PoolGradStep>(entry_of(kTables, row), args);
}

}  // namespace

extern const Family pool_grad_family;
const Family pool_grad_family{"pool_grad", [] { return rows_of(kTables); }, make};

}  // namespace thew
