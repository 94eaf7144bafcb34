// conv_grad_weight(dy, x) by Winograd's algorithm: checks a step, cuts tiles into blocks and channels into tasks.
#include <algorithm>

#include "base/aligned.hpp"
#include "kernels/matmul/blocking.hpp"
#include "kernels/winograd/layout.hpp"

namespace thew {
namespace {

// Bytes of transformed tiles in a block, and tiles at least. Where sums are few, a block stays beside them in the
// second-level cache; where they are many, fetching and storing them at each block costs more than tiles from afar.
struct BlockSize {
    std::int64_t bytes, least;
};
constexpr BlockSize kNear{384 << 10, 16}, kFar{8 << 20, 128};
constexpr std::int64_t kNearSums = 640 << 10;  // bytes

constexpr std::int64_t kMostTaskPanels = 4;  // panels of rows that read one panel of columns from a near cache

class WinogradGradWeightStep final : public Step {
public:
    WinogradGradWeightStep(const StepDesc& desc, const WinogradEntry& entry)
        : entry_(entry), element_bytes_(static_cast<std::int64_t>(dtype_bytes(entry.row.acc))) {
        require_counts(desc, 2, 2);
        const Tensor &dy = desc.inputs[0], &x = desc.inputs[1], &dw = desc.outputs[0];
        require_images(desc, {&dy, &x, &dw}, entry.row);
        const Window2d window = window_of_tiles(desc, x, dw, dy, entry);
        require_channels_last(desc, dy);
        require_channels_last(desc, x);
        args_.h = x.shape[2], args_.w = x.shape[3], args_.oh = dy.shape[2], args_.ow = dy.shape[3];
        args_.pad_top = window.pad[0], args_.pad_left = window.pad[1];
        args_.group = desc.attributes.integer("group", 1);
        args_.c = dw.shape[1], args_.oc = dw.shape[0] / args_.group;
        args_.tiles_h = ceil_div(args_.oh, entry.m), args_.tiles_w = ceil_div(args_.ow, entry.m);
        args_.tiles = x.shape[0] * args_.tiles_h * args_.tiles_w;
        std::copy(dw.stride, dw.stride + 4, args_.dw);
        views_.x_n = x.stride[0], views_.x_h = x.stride[2], views_.x_w = x.stride[3];
        views_.dy_n = dy.stride[0], views_.dy_h = dy.stride[2], views_.dy_w = dy.stride[3];
        cut(desc);
    }

    std::size_t scratch_bytes() const override { return scratch_bytes_; }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        WinogradGradViews views = views_;
        views.dy = inputs[0].data, views.x = inputs[1].data, views.dw = outputs[0].data;
        entry_.grad_weight(args_, views, workers, scratch);
    }

private:
    // Blocks of tiles depend on shapes alone, so that sums do not depend on the number of threads; tasks may.
    void cut(const StepDesc& desc) {
        const std::int64_t threads = desc.threads, points = points_of(entry_);
        const std::int64_t columns = ceil_div(args_.c, entry_.row.nr);
        const std::int64_t panels = ceil_div(args_.oc, entry_.row.mr);
        const std::int64_t x_tile = points * columns * entry_.row.nr, dy_tile = points * panels * entry_.pitch;
        args_.near = columns * args_.oc * points * entry_.row.nr * element_bytes_ <= kNearSums;
        const BlockSize size = args_.near ? kNear : kFar;
        const std::int64_t most = std::max(size.bytes / ((x_tile + dy_tile) * element_bytes_), size.least);
        const std::int64_t wanted = std::max<std::int64_t>(ceil_div(args_.tiles, most), 1);
        args_.depth = round_up(std::max<std::int64_t>(ceil_div(args_.tiles, wanted), 1), entry_.k_multiple);
        args_.blocks = std::max<std::int64_t>(ceil_div(args_.tiles, args_.depth), 1);  // empty sums are written too
        args_.x_point = odd_lines(args_.depth * entry_.row.nr, element_bytes_);
        args_.dy_point = odd_lines(args_.depth * entry_.pitch, element_bytes_);
        args_.z_row = odd_lines(points * entry_.row.nr, element_bytes_);
        const std::int64_t share = columns * panels / tiles_wanted(desc);
        args_.task_panels = threads == 1 ? kMostTaskPanels : std::clamp<std::int64_t>(share, 1, kMostTaskPanels);
        args_.task_rows = args_.task_panels * entry_.row.mr;
        const std::int64_t waiting = args_.blocks > 1 ? columns * args_.oc : threads * args_.task_rows;
        const std::int64_t tiles = points * (columns * args_.x_point + panels * args_.dy_point);
        const std::int64_t elements = tiles + waiting * args_.z_row;
        scratch_bytes_ = checked_bytes(static_cast<std::size_t>(elements), static_cast<std::size_t>(element_bytes_));
    }

    const WinogradEntry& entry_;
    WinogradGradArgs args_{};
    WinogradGradViews views_{};
    std::int64_t element_bytes_;
    std::size_t scratch_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Step> make_winograd_grad_weight(const StepDesc& desc, const WinogradEntry& entry) {
    return std::make_unique<WinogradGradWeightStep>(desc, entry);
}

}  // namespace thew
