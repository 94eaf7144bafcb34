// conv(x, w, b?, residual?): 1-d and 2-d convolutions with groups, on the trunk.
#include "kernels/conv/contract.hpp"
#include "kernels/matmul/trunk_step.hpp"
#include "kernels/strided.hpp"
#include "kernels/window.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<ConvEntry>*> kTables THEW_TABLES(base, conv_table);

struct Operands {
    Tensor x, w, y, residual;  // as 2-d images; residual.rank is -1 where absent
    std::int64_t group;
};

Operands operands(const StepDesc& desc, DType dtype) {
    require_counts(desc, 2, 4);
    const Tensor &x = desc.inputs[0], &w = desc.inputs[1], &y = desc.outputs[0];
    require((x.rank == 3 || x.rank == 4) && w.rank == x.rank && y.rank == x.rank,
            where(desc) + "x, w and y must all have rank 3 or all rank 4, got " + shape_text(x) + ", " + shape_text(w) +
                " and " + shape_text(y));
    for (const Tensor& tensor : desc.inputs) {
        if (tensor.rank >= 0) require_dtype(desc, tensor, dtype, "every input");
    }
    require_dtype(desc, y, dtype, "y");
    Operands at{as_image(x), as_image(w), as_image(y), {}, desc.attributes.integer("group", 1)};
    at.residual.rank = -1;
    if (present(desc, 3)) at.residual = as_image(broadcast_view(desc.inputs[3], y, where(desc)));
    const std::int64_t oc = at.w.shape[0];
    require(at.group >= 1 && oc % at.group == 0 && at.x.shape[1] % at.group == 0 &&
                at.w.shape[1] == at.x.shape[1] / at.group,
            where(desc) + "w must be (oc, c/group, …) with oc and c multiples of group = " + std::to_string(at.group) +
                ", got x " + shape_text(x) + " and w " + shape_text(w));
    require(y.shape[0] == x.shape[0] && y.shape[1] == oc, where(desc) + "y must be (" + std::to_string(x.shape[0]) +
                                                              ", " + std::to_string(oc) + ", …), got " + shape_text(y));
    if (present(desc, 2)) {
        const Tensor& bias = desc.inputs[2];
        require(bias.rank == 1 && bias.shape[0] == oc,
                where(desc) + "bias must be (" + std::to_string(oc) + ",), got " + shape_text(bias));
    }
    return at;
}

// The order in which k walks the window: whichever finds the longest runs in x.
Patches patches_of(const Operands& at, const Window2d& window) {
    const Tensor& x = at.x;
    const std::int64_t channels = at.w.shape[1];
    const bool dense = channels == x.shape[1] && (channels == 1 || x.stride[1] == 1) && x.stride[3] == channels;
    const bool planes = x.stride[3] == 1;
    const bool width_runs = window.dilation[1] == 1 && (dense || (planes && (channels == 1 || x.stride[1] != 1)));
    Patches patches{};
    patches.in_h = x.shape[2], patches.in_w = x.shape[3];
    patches.out_h = at.y.shape[2], patches.out_w = at.y.shape[3];
    patches.kh = window.kernel[0], patches.kw = window.kernel[1];
    patches.stride_h = window.stride[0], patches.stride_w = window.stride[1];
    patches.pad_h = window.pad[0], patches.pad_w = window.pad[1];
    patches.dilation_h = window.dilation[0], patches.dilation_w = window.dilation[1];
    patches.x_n = x.stride[0], patches.x_c = x.stride[1], patches.x_h = x.stride[2], patches.x_w = x.stride[3];
    patches.width_runs = width_runs;
    patches.columns = width_runs && (!dense || channels == 1) && patches.stride_w <= 2;
    patches.unit = dense ? channels : 1;
    patches.run = width_runs ? patches.kw * patches.unit : channels;
    return patches;
}

class ConvStep final : public Step {
public:
    ConvStep(const StepDesc& desc, const ConvEntry& entry, bool dry) : entry_(entry) {
        const MatmulEntry& trunk = entry.trunk;
        const Operands at = operands(desc, trunk.row.a);
        const Window2d window =
            window_of(desc, desc.inputs[0].rank,
                      std::vector<std::int64_t>(desc.inputs[1].shape + 2, desc.inputs[1].shape + desc.inputs[1].rank));
        require_window(desc, window, at.x, at.y, false);
        const bool pointwise = entry.algorithm == ConvAlgorithm::pointwise, direct = is_direct();
        if (pointwise) require_pointwise(desc, window);
        if (direct) require_direct(desc, at, window);
        patches_ = patches_of(at, window);
        lay_out_product(at, pointwise);
        lay_out_weights(at, pointwise);
        product_.epilogue = parse_epilogue(desc.attributes);

        const TileShape tile = tile_shape(trunk);
        if (direct) {
            choose_band(at, tile, desc.threads);
        } else {
            choose_blocking(product_, desc.caches, tile, desc.threads, trunk.reads_in_place,
                            !pointwise && patches_.columns ? trunk.column_pitch : 0);
        }
        has_bias_ = present(desc, 2);
        has_residual_ = present(desc, 3);
        bias_elements_ = has_bias_ && at.w.shape[0] > 1 && desc.inputs[2].stride[0] != 1 ? at.w.shape[0] : 0;
        bias_stride_ = has_bias_ ? desc.inputs[2].stride[0] : 1;
        if (at.x.shape[0] == 1 && desc.constant[1]) {
            rows_ = {window.extent(0), window.stride[0], window.pad[0]};
        }
        memory_ = TrunkMemory(product_, b_, tile, desc.threads, desc.constant[1], bias_elements_);
        if (desc.constant[1] && !dry) memory_.pack_constant(b_, desc.inputs[1].data);
    }

    std::size_t scratch_bytes() const override {
        return memory_.scratch_bytes() + static_cast<std::size_t>(patches_.band_bytes * threads_);
    }
    std::size_t packed_bytes() const override { return memory_.packed_bytes(); }
    bool packs(std::size_t input) const override { return input == 1 && memory_.b_is_constant(); }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        run_product(product_, inputs, outputs, workers, scratch);
    }
    RowWindow row_window() const override { return rows_; }
    void run_rows(const Tensor* inputs, const Tensor* outputs, std::int64_t first, std::int64_t last,
                  std::byte* scratch) const override {
        Product product = product_;
        product.first = first * patches_.out_w;
        product.m = last * patches_.out_w;
        run_product(product, inputs, outputs, Workers{1, nullptr, nullptr}, scratch);
    }

private:
    void run_product(Product product, const Tensor* inputs, const Tensor* outputs, const Workers& workers,
                     std::byte* scratch) const {
        product.a = inputs[0].data;
        product.c = outputs[0].data;
        product.b = memory_.b_for_run(b_, inputs[1].data, workers, scratch);
        if (has_bias_) product.bias = memory_.bias_for_run(inputs[2], bias_stride_, bias_elements_, scratch);
        if (has_residual_) product.residual = inputs[3].data;
        if (entry_.run) {
            entry_.run(product, patches_, workers, scratch);
        } else {
            entry_.trunk.run(product, workers, scratch);
        }
    }

    bool is_direct() const { return entry_.algorithm == ConvAlgorithm::direct; }

    static void require_direct(const StepDesc& desc, const Operands& at, const Window2d& window) {
        const std::int64_t planes = at.x.shape[1];
        require(at.group == 1 && planes > 0 && planes * window.kernel[0] <= kMostSegments,
                where(desc) + "x must have one group of at most " + std::to_string(kMostSegments) +
                    " channels × window rows, got " + std::to_string(planes) + " × " +
                    std::to_string(window.kernel[0]) + "; use an implicit row");
        const bool apart = at.y.stride[1] != 1 || (at.residual.rank >= 0 && at.residual.stride[1] != 1);
        require(at.y.shape[1] == 1 || !apart,
                where(desc) + "y and the residual must be channels-last; use an implicit row");
    }

    // As many rows as share their padded copy of x and leave room for others in the second level, and enough bands for
    // all workers.
    void choose_band(const Operands& at, const TileShape& tile, int threads) {
        constexpr std::int64_t kBandBytes = 64 << 10;
        Patches& p = patches_;
        threads_ = threads;
        product_.blocking.in_place = true;  // nothing is packed
        p.band_width = (p.out_w - 1) * p.stride_w + (p.kw - 1) * p.dilation_w + 1;
        const std::int64_t line_bytes = at.x.shape[1] * p.band_width * tile.element_bytes;
        const std::int64_t halo = (p.kh - 1) * p.dilation_h + 1;
        const std::int64_t fit = (kBandBytes / std::max<std::int64_t>(line_bytes, 1) - halo) / p.stride_h + 1;
        const std::int64_t lines = at.y.shape[0] * p.out_h;
        const std::int64_t share = threads > 1 ? ceil_div(lines, std::int64_t{kTilesPerWorker} * threads) : lines;
        p.band_rows = std::clamp<std::int64_t>(std::min(fit, share), 1, std::max<std::int64_t>(p.out_h, 1));
        p.band_bytes = round_up(((p.band_rows - 1) * p.stride_h + halo) * line_bytes, 64);
    }

    static void require_pointwise(const StepDesc& desc, const Window2d& window) {
        for (int axis = 0; axis < 2; ++axis) {
            require(window.kernel[axis] == 1 && window.pad[axis] == 0 && window.pad_end[axis] <= 0,
                    where(desc) + "the window must be 1x1 without padding; use an implicit row");
        }
    }

    void lay_out_product(const Operands& at, bool pointwise) {
        const Tensor &x = at.x, &y = at.y, &residual = at.residual;
        const bool added = residual.rank >= 0;
        product_.n = at.w.shape[0] / at.group;
        product_.a_k = at.w.shape[1] == 1 ? 1 : x.stride[1];
        product_.c_n = product_.n == 1 ? 1 : y.stride[1];
        product_.residual_n = !added || product_.n == 1 ? 1 : residual.stride[1];
        const std::int64_t steps[3] = {1, patches_.stride_h, patches_.stride_w};
        const int axes[3] = {0, 2, 3};
        product_.row.rank = 3;
        for (int d = 0; d < 3; ++d) {
            product_.row.extent[d] = y.shape[axes[d]];
            product_.row.a[d] = x.stride[axes[d]] * steps[d];
            product_.row.c[d] = y.stride[axes[d]];
            product_.row.residual[d] = added ? residual.stride[axes[d]] : 0;
        }
        product_.m = items_of(product_.row);
        if (!is_direct()) {  // which walks images, rows and columns itself
            // Strides without a say in what may be merged: those of no residual, and of x where patches are gathered.
            join_strides(product_.row, !pointwise, !added);
            collapse(product_.row);
        }
        product_.items = at.group;
        product_.item.rank = 1;
        product_.item.extent[0] = at.group;
        product_.item.a[0] = at.w.shape[1] * x.stride[1];
        product_.item.c[0] = product_.n * y.stride[1];
        product_.item.residual[0] = added ? product_.n * residual.stride[1] : 0;
        product_.item_bias[0] = product_.n;
    }

    void lay_out_weights(const Operands& at, bool pointwise) {
        const Tensor& w = at.w;
        const bool by_plane = is_direct() || (!pointwise && patches_.width_runs && patches_.unit != w.shape[1]);
        const int order[3] = {by_plane ? 1 : 2, by_plane ? 2 : 3, by_plane ? 3 : 1};
        std::int64_t k = 1;
        for (int d = 0; d < 3; ++d) {
            b_.view.extent[d] = w.shape[order[d]];
            b_.view.stride[d] = w.stride[order[d]];
            k *= w.shape[order[d]];
        }
        product_.k_real = k;
        product_.k = round_up(k, entry_.trunk.k_multiple);
        b_.view.n = product_.n;
        b_.view.n_stride = w.stride[0];
        b_.item.rank = 1;
        b_.item.extent[0] = at.group;
        b_.item_stride[0] = product_.n * w.stride[0];
        b_.pack = entry_.trunk.pack_b;
        b_.panel = entry_.trunk.row.nr;
        b_.item_elements = packed_b_elements(product_.k, product_.n, entry_.trunk.vector);
        product_.item_b[0] = b_.item_elements;
    }

    const ConvEntry& entry_;
    Product product_{};
    Patches patches_{};
    TrunkB b_{};
    TrunkMemory memory_;
    RowWindow rows_{0, 0, 0};
    bool has_bias_ = false, has_residual_ = false;
    std::int64_t threads_ = 0;  // that take a band each
    std::int64_t bias_elements_ = 0, bias_stride_ = 1;
};

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool dry) {
    for (const Table<ConvEntry>* table : kTables) {
        for (int i = 0; i < table->count; ++i) {
            if (&table->entries[i].trunk.row == &row) return std::make_unique<ConvStep>(desc, table->entries[i], dry);
        }
    }
    throw PlanError(where(desc) + "row is not of this family, got " + row_name(row));
}

std::vector<const Row*> rows() {
    std::vector<const Row*> rows;
    for (const Table<ConvEntry>* table : kTables) {
        for (int i = 0; i < table->count; ++i) rows.push_back(&table->entries[i].trunk.row);
    }
    return rows;
}

}  // namespace

extern const Family conv_family;
const Family conv_family{"conv", rows, make};

}  // namespace thew
