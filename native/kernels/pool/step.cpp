// Checks a pooling step and runs it.
#include "kernels/dispatch.hpp"
#include "kernels/pool/contract.hpp"
#include "kernels/window.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<PoolEntry>*> kTables THEW_TABLES(base, pool_table);

class PoolStep final : public Step {
public:
    // `by_rows`: whether rows of args are the image's own.
    PoolStep(const PoolEntry& entry, const PoolArgs& args, bool by_rows, int threads)
        : entry_(entry), args_(args), by_rows_(by_rows), threads_(threads) {}

    std::size_t scratch_bytes() const override {
        return static_cast<std::size_t>(entry_.scratch_bytes(args_)) * static_cast<std::size_t>(threads_);
    }
    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        entry_.run(args_, inputs[0].data, outputs[0].data, workers, scratch);
    }
    RowWindow row_window() const override {
        const bool channels_last = args_.c == 1 || (args_.x_c == 1 && args_.y_c == 1);
        return {by_rows_ && args_.n == 1 && channels_last ? (args_.kh - 1) * args_.dilation_h + 1 : 0, args_.stride_h,
                args_.pad_top};
    }
    void run_rows(const Tensor* inputs, const Tensor* outputs, std::int64_t first, std::int64_t last,
                  std::byte* scratch) const override {
        PoolArgs args = args_;
        args.first_row = first;
        args.oh = last;
        entry_.run(args, inputs[0].data, outputs[0].data, Workers{1, nullptr, nullptr}, scratch);
    }

private:
    const PoolEntry& entry_;
    PoolArgs args_;
    bool by_rows_;
    int threads_;
};

// The whole image as one window. Where its rows lie end to end they are seen as one.
Window2d whole_image(Tensor& x) {
    if (x.stride[2] == x.shape[3] * x.stride[3]) {
        x.shape[3] *= x.shape[2];
        x.shape[2] = 1;
    }
    return {{x.shape[2], x.shape[3]}, {1, 1}, {1, 1}, {0, 0}, {0, 0}};
}

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    const bool global = desc.op == "global_average_pool" || desc.op == "global_max_pool";
    const bool average = desc.op == "average_pool" || desc.op == "global_average_pool";
    require(global || average || desc.op == "max_pool",
            where(desc) + "op must be max_pool, average_pool, global_max_pool or global_average_pool");
    require_counts(desc, 1, 1);
    require_dtype(desc, desc.inputs[0], row.a, "x");
    require_dtype(desc, desc.outputs[0], row.a, "y");
    const int rank = desc.inputs[0].rank;
    require((rank == 3 || rank == 4) && desc.outputs[0].rank == rank,
            where(desc) + "x and y must both have rank 3 or 4, got " + std::to_string(rank) + " and " +
                std::to_string(desc.outputs[0].rank));
    const PoolEntry& entry = entry_of(kTables, row);
    require(!average || entry.averages, where(desc) + "an average must be of fp32 or fp64; cast");
    Tensor x = as_image(desc.inputs[0]);
    const Tensor y = as_image(desc.outputs[0]);
    require(y.shape[0] == x.shape[0] && y.shape[1] == x.shape[1], where(desc) + "y must have x's n and c, got (" +
                                                                      std::to_string(y.shape[0]) + ", " +
                                                                      std::to_string(y.shape[1]) + ", …)");
    // Images that lie side by side take the place of channels: what a window holds is the same for both.
    const bool across_images = x.stride[0] == 1 && y.stride[0] == 1 && (x.stride[1] != 1 || y.stride[1] != 1);
    const int n = across_images ? 1 : 0, c = 1 - n;
    const Window2d window = global ? whole_image(x) : window_of(desc, rank, desc.attributes.ints("kernel_shape"));
    require_window(desc, window, x, y, !global && desc.attributes.integer("ceil_mode", 0) != 0);
    const PoolArgs args{.op = average ? PoolOp::average : PoolOp::max,
                        .count_include_pad = desc.attributes.integer("count_include_pad", 0) != 0,
                        .n = x.shape[n],
                        .c = x.shape[c],
                        .h = x.shape[2],
                        .w = x.shape[3],
                        .oh = y.shape[2],
                        .ow = y.shape[3],
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
                        .x_n = x.stride[n],
                        .x_c = x.stride[c],
                        .x_h = x.stride[2],
                        .x_w = x.stride[3],
                        .y_n = y.stride[n],
                        .y_c = y.stride[c],
                        .y_h = y.stride[2],
                        .y_w = y.stride[3]};
    return std::make_unique<PoolStep>(entry, args, !global && !across_images, desc.threads);
}

}  // namespace

extern const Family pool_family;
const Family pool_family{"pool", [] { return rows_of(kTables); }, make};

}  // namespace thew
