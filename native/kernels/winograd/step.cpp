// conv(x, w, b?, residual?) and conv_grad_input(dy, w) by Winograd's algorithm: checks a step, transforms its weights,
// cuts tiles into blocks.
#include <algorithm>
#include <cstring>

#include "base/aligned.hpp"
#include "kernels/activation_parse.hpp"
#include "kernels/matmul/blocking.hpp"
#include "kernels/scalar.hpp"
#include "kernels/strided.hpp"
#include "kernels/winograd/layout.hpp"

namespace thew {
namespace {

const std::initializer_list<const Table<WinogradEntry>*> kTables = {
    THEW_TABLE_LIST(base, winograd_fp32) THEW_TABLE_LIST(base, winograd_fp64) THEW_TABLE_LIST(base, winograd_half)
        THEW_TABLE_LIST(fp16, winograd_fp16)};

constexpr std::int64_t kTogetherBytes = 8 << 20;  // of transformed inputs that all workers share

// A convolution, or the gradient of one's input, which is a convolution of dy by the weights turned around, with c and
// oc in each other's place.
struct Operands {
    Tensor x, w, y, residual;  // images; w of one group but for shape[0]; residual.rank is -1 where absent
    std::int64_t group;
    std::int64_t w_first, w_group;  // elements of w before the first, from a group to the next
    std::int64_t pad_top, pad_left;
};

Operands forward(const StepDesc& desc, const WinogradEntry& entry) {
    require_counts(desc, 2, 4);
    require_images(desc, {&desc.inputs[0], &desc.inputs[1], &desc.outputs[0]}, entry.row);
    if (present(desc, 2) && desc.inputs[2].dtype != DType::fp32) {
        require_dtype(desc, desc.inputs[2], entry.row.a, "bias");
    }
    if (present(desc, 3)) require_dtype(desc, desc.inputs[3], entry.row.a, "the residual");
    const Tensor &x = desc.inputs[0], &w = desc.inputs[1], &y = desc.outputs[0];
    const Window2d at = window_of_tiles(desc, x, w, y, entry);
    require_bias(desc, w.shape[0]);
    const std::int64_t group = desc.attributes.integer("group", 1);
    Operands operands{x, w, y, {}, group, 0, w.shape[0] / group * w.stride[0], at.pad[0], at.pad[1]};
    operands.residual.rank = -1;
    if (present(desc, 3)) operands.residual = broadcast_view(desc.inputs[3], y, where(desc));
    return operands;
}

Operands input_gradient(const StepDesc& desc, const WinogradEntry& entry) {
    require_counts(desc, 2, 2);
    require_images(desc, {&desc.inputs[0], &desc.inputs[1], &desc.outputs[0]}, entry.row);
    const Tensor &dy = desc.inputs[0], &w = desc.inputs[1], &dx = desc.outputs[0];
    const Window2d at = window_of_tiles(desc, dx, w, dy, entry);
    const std::int64_t group = desc.attributes.integer("group", 1), of_group = w.shape[0] / group, last = entry.r - 1;
    Tensor turned = w;
    turned.shape[0] = dx.shape[1], turned.stride[0] = w.stride[1];
    turned.shape[1] = of_group, turned.stride[1] = w.stride[0];
    turned.stride[2] = -w.stride[2], turned.stride[3] = -w.stride[3];
    Operands operands{dy,
                      turned,
                      dx,
                      {},
                      group,
                      last * (w.stride[2] + w.stride[3]),
                      of_group * w.stride[0],
                      last - at.pad[0],
                      last - at.pad[1]};
    operands.residual.rank = -1;
    return operands;
}

Operands operands(const StepDesc& desc, const WinogradEntry& entry) {
    const Operands at = desc.op == "conv_grad_input" ? input_gradient(desc, entry) : forward(desc, entry);
    require_channels_last(desc, at.x);
    require_channels_last(desc, at.y);
    if (at.residual.rank >= 0) require_channels_last(desc, at.residual);
    return at;
}

// How many tiles a block has. The transformed input of a block and one panel of its products are to fit half of the
// second-level cache; but where weights come from further away, rows enough to multiply them with come first.
std::int64_t block_of(const WinogradArgs& args, const TileShape& tile, const Caches& caches, std::int64_t tile_bytes,
                      std::int64_t weight_bytes) {
    const auto near = static_cast<std::int64_t>(caches.l2_bytes) / 2;
    const std::int64_t panels = weight_bytes <= near ? 2 : 4;
    const std::int64_t most = std::clamp(near / tile_bytes / tile.mr, panels, kMaxBlockRows / tile.mr) * tile.mr;
    const std::int64_t blocks = std::max<std::int64_t>(ceil_div(args.tiles, most), 1);
    return std::max<std::int64_t>(std::min(round_up(ceil_div(args.tiles, blocks), tile.mr), args.tiles), 1);
}

// Blocks for several workers. One worker at a time takes one through all its panels, where there are rows enough for
// each to have a block: few rows serve where the weights are near. Blocks are as many for each worker, so that nobody
// waits for a last one. Otherwise all workers transform as many blocks as fit together, and then share out their
// panels.
void share_out(WinogradArgs& args, const TileShape& tile, const StepDesc& desc) {
    const std::int64_t usual = 2 * tile.mr, least = args.near ? ceil_div(tile.mr, 2) : usual;
    const std::int64_t workers = ceil_div(desc.threads, args.group), wanted = ceil_div(tiles_wanted(desc), args.group);
    const std::int64_t fit = std::max(args.tiles / usual / workers, std::int64_t{1}) * workers;
    const std::int64_t blocks = std::min(wanted, fit);
    const bool alone = args.tiles / blocks >= least;
    const std::int64_t cut = alone ? blocks : ceil_div(wanted, ceil_div(args.oc, tile.nr));
    args.block = std::min(args.block, std::max(ceil_div(args.tiles, cut), alone ? 1 : tile.mr));
    args.together = alone ? 0 : 1;
}

// Cuts the tiles into blocks.
void cut(WinogradArgs& args, const WinogradEntry& entry, const StepDesc& desc) {
    const auto element_bytes = static_cast<std::int64_t>(dtype_bytes(entry.row.acc));
    const TileShape tile{entry.row.mr, entry.row.nr, element_bytes, element_bytes, entry.vector * element_bytes, false};
    const std::int64_t points = points_of(entry);
    const bool in_panels =
        entry.k_multiple > 1;  // else a tile's rows are read at once, and must not crowd into few sets
    args.a_row =
        in_panels ? round_up(args.c, entry.k_multiple) : odd_lines(round_up(args.c, entry.vector), element_bytes);
    args.c_row = odd_lines(points * tile.nr, element_bytes);
    const std::int64_t tile_bytes = (points * args.a_row + args.c_row) * element_bytes;
    args.block = block_of(args, tile, desc.caches, tile_bytes, args.packed_item * element_bytes);
    args.near = args.packed_item * element_bytes <= static_cast<std::int64_t>(desc.caches.l2_bytes) / 2;
    if (desc.threads > 1 && args.tiles > 0) share_out(args, tile, desc);
    args.a_point = odd_lines(ceil_div(args.block, tile.mr) * tile.mr * args.a_row, element_bytes);
    args.a_block = points * args.a_point;
    args.c_block = (in_panels ? round_up(args.block, tile.mr) : args.block) * args.c_row;
    if (args.together > 0) {
        const std::int64_t all = args.group * ceil_div(args.tiles, args.block);
        args.together = std::clamp<std::int64_t>(kTogetherBytes / (args.a_block * element_bytes), 1, all);
    }
}

WinogradArgs arguments(const StepDesc& desc, const Operands& at, const WinogradEntry& entry) {
    WinogradArgs args{};
    args.n = at.x.shape[0], args.h = at.x.shape[2], args.w = at.x.shape[3];
    args.oh = at.y.shape[2], args.ow = at.y.shape[3];
    args.group = at.group, args.c = at.w.shape[1], args.oc = at.w.shape[0] / at.group;
    args.pad_top = at.pad_top, args.pad_left = at.pad_left;
    args.tiles_h = ceil_div(args.oh, entry.m), args.tiles_w = ceil_div(args.ow, entry.m);
    args.tiles = args.n * args.tiles_h * args.tiles_w;
    const std::int64_t points = points_of(entry), depth = round_up(args.c, entry.k_multiple);
    args.packed_item = points * packed_b_elements(depth, args.oc, entry.vector);
    args.packed_panel = points * depth * entry.row.nr;
    args.epilogue = parse_epilogue(desc.attributes);
    cut(args, entry, desc);
    return args;
}

WinogradViews views_of(const Operands& at) {
    WinogradViews views{};
    views.x_n = at.x.stride[0], views.x_h = at.x.stride[2], views.x_w = at.x.stride[3];
    views.y_n = at.y.stride[0], views.y_h = at.y.stride[2], views.y_w = at.y.stride[3];
    if (at.residual.rank >= 0) {
        views.r_n = at.residual.stride[0], views.r_h = at.residual.stride[2], views.r_w = at.residual.stride[3];
    }
    return views;
}

class WinogradStep final : public Step {
public:
    WinogradStep(const StepDesc& desc, const WinogradEntry& entry, bool dry)
        : entry_(entry), threads_(desc.threads), element_bytes_(dtype_bytes(entry.row.acc)) {
        const Operands at = operands(desc, entry);
        args_ = arguments(desc, at, entry);
        views_ = views_of(at);
        w_ = at.w, w_first_ = at.w_first, w_group_ = at.w_group;
        has_bias_ = present(desc, 2), has_residual_ = present(desc, 3);
        panels_ = ceil_div(args_.oc, entry.row.nr);
        bias_bytes_ = checked_bytes(static_cast<std::size_t>(args_.group * panels_ * entry.row.nr), element_bytes_);
        weight_bytes_ = checked_bytes(static_cast<std::size_t>(args_.group * args_.packed_item), element_bytes_);
        constant_ = desc.constant[1];
        if (!constant_ || dry) return;
        packed_ = AlignedBuffer(weight_bytes_);
        pack(desc.inputs[1].data, {1, nullptr, nullptr}, packed_.data());
    }

    std::size_t scratch_bytes() const override {
        const std::int64_t blocks = args_.together > 0 ? args_.together : threads_;
        const std::int64_t elements = blocks * args_.a_block + threads_ * args_.c_block;
        return bias_bytes_ + (constant_ ? 0 : weight_bytes_) +
               checked_bytes(static_cast<std::size_t>(elements), element_bytes_);
    }
    std::size_t packed_bytes() const override { return constant_ ? weight_bytes_ : 0; }
    bool packs(std::size_t input) const override { return input == 1 && constant_; }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        WinogradArgs args = args_;
        WinogradViews views = views_;
        views.x = inputs[0].data;
        views.y = outputs[0].data;
        if (has_residual_) views.residual = inputs[3].data;
        views.bias = scratch;
        place_bias(has_bias_ ? &inputs[2] : nullptr, scratch);
        scratch += bias_bytes_;
        args.packed = constant_ ? packed_.data() : scratch;
        if (!constant_) {
            pack(inputs[1].data, workers, scratch);
            scratch += weight_bytes_;
        }
        entry_.run(args, views, workers, scratch);
    }

private:
    void pack(const void* w, const Workers& workers, std::byte* to) const {
        const std::int64_t depth = round_up(args_.c, entry_.k_multiple);
        const auto element = static_cast<std::int64_t>(element_bytes_);
        const auto w_element = static_cast<std::int64_t>(dtype_bytes(w_.dtype));
        auto body = [&](std::int64_t task, int) {
            const std::int64_t group = task / panels_, panel = task % panels_;
            const WinogradWeights weights{static_cast<const std::byte*>(w) + (w_first_ + group * w_group_) * w_element,
                                          args_.oc,
                                          args_.c,
                                          {w_.stride[0], w_.stride[1], w_.stride[2], w_.stride[3]}};
            entry_.pack(weights, panel, depth, to + (group * args_.packed_item + panel * args_.packed_panel) * element);
        };
        parallel_for(workers, args_.group * panels_, body);
    }

    // Each group's bias in whole panels, as wide as sums are, zeros where there is none.
    void place_bias(const Tensor* bias, std::byte* to) const {
        std::memset(to, 0, bias_bytes_);
        for (std::int64_t o = 0; bias && o < args_.group * args_.oc; ++o) {
            const std::int64_t at = o / args_.oc * panels_ * entry_.row.nr + o % args_.oc;
            const auto from = static_cast<std::int64_t>(dtype_bytes(bias->dtype)) * o * bias->stride[0];
            const double value = to_real(static_cast<const std::byte*>(bias->data) + from, bias->dtype);
            const Scalar scalar = to_scalar(value, entry_.row.acc);
            std::memcpy(to + at * static_cast<std::int64_t>(element_bytes_), scalar.bytes, element_bytes_);
        }
    }

    const WinogradEntry& entry_;
    WinogradArgs args_{};
    WinogradViews views_{};
    Tensor w_{};
    std::int64_t w_first_ = 0, w_group_ = 0;
    int threads_;
    bool constant_ = false, has_bias_ = false, has_residual_ = false;
    std::int64_t panels_ = 0;
    std::size_t element_bytes_, bias_bytes_ = 0, weight_bytes_ = 0;
    AlignedBuffer packed_;
};

std::vector<const Row*> rows() { return rows_of(kTables); }

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool dry) {
    require(desc.op == "conv" || entry_of(kTables, row).grad_weight != nullptr,
            where(desc) + "a row that sums in fp16 computes no gradients; use one that sums in fp32");
    if (desc.op == "conv_grad_weight") return make_winograd_grad_weight(desc, entry_of(kTables, row));
    return std::make_unique<WinogradStep>(desc, entry_of(kTables, row), dry);
}

}  // namespace

extern const Family winograd_family;
const Family winograd_family{"winograd", rows, make};

}  // namespace thew
