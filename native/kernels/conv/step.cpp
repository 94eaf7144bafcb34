// conv(x, w, b?, residual?): 1-d and 2-d convolutions with groups, on the trunk; and the family of its gradients.
#include "kernels/conv/product.hpp"
#include "kernels/strided.hpp"

namespace thew {
namespace {

const std::initializer_list<const Table<ConvEntry>*> kTables = {THEW_TABLE_LIST(base, conv_fp32) THEW_TABLE_LIST(
    base, conv_fp64) THEW_TABLE_LIST(fp16, conv_fp16) THEW_TABLE_LIST(bf16, conv_bf16)};

void require_direct(const StepDesc& desc, const ConvOperands& at, const Window2d& window) {
    const std::int64_t planes = at.x.shape[1];
    require(at.group == 1 && planes > 0 && planes * window.kernel[0] <= kMostSegments,
            where(desc) + "x must have one group of at most " + std::to_string(kMostSegments) +
                " channels × window rows, got " + std::to_string(planes) + " × " + std::to_string(window.kernel[0]) +
                "; use an implicit row");
    const bool apart = at.y.stride[1] != 1 || (at.residual.rank >= 0 && at.residual.stride[1] != 1);
    require(at.y.shape[1] == 1 || !apart,
            where(desc) + "y and the residual must be channels-last; use an implicit row");
}

Window2d window(const StepDesc& desc, const ConvOperands& at, const ConvEntry& entry) {
    const Tensor& w = desc.inputs[1];
    const Window2d window =
        window_of(desc, desc.inputs[0].rank, std::vector<std::int64_t>(w.shape + 2, w.shape + w.rank));
    require_window(desc, window, at.x, at.y, false);
    if (entry.algorithm == ConvAlgorithm::pointwise) require_pointwise(desc, window);
    if (entry.algorithm == ConvAlgorithm::direct) require_direct(desc, at, window);
    return window;
}

class ConvStep final : public Step {
public:
    ConvStep(const StepDesc& desc, const ConvEntry& entry, const ConvOperands& at, const Window2d& window, bool dry)
        : has_bias_(present(desc, 2)),
          has_residual_(present(desc, 3)),
          bias_stride_(has_bias_ ? desc.inputs[2].stride[0] : 1),
          bias_elements_(has_bias_ ? bias_to_gather(desc.inputs[2], bias_stride_, at.w.shape[0]) : 0),
          conv_(desc, entry, at, window, desc.constant[1], bias_elements_) {
        if (at.x.shape[0] == 1 && desc.constant[1]) rows_ = {window.extent(0), window.stride[0], window.pad[0]};
        if (desc.constant[1] && !dry) conv_.pack_constant(desc.inputs[1].data);
    }

    std::size_t scratch_bytes() const override { return conv_.scratch_bytes(); }
    std::size_t packed_bytes() const override { return conv_.memory().packed_bytes(); }
    bool packs(std::size_t input) const override { return input == 1 && conv_.memory().b_is_constant(); }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        run_product(conv_.product(), inputs, outputs, workers, scratch);
    }
    RowWindow row_window() const override { return rows_; }
    void run_rows(const Tensor* inputs, const Tensor* outputs, std::int64_t first, std::int64_t last,
                  std::byte* scratch) const override {
        Product product = conv_.product();
        product.first = first * conv_.patches().out_w;
        product.m = last * conv_.patches().out_w;
        run_product(product, inputs, outputs, Workers{1, nullptr, nullptr}, scratch);
    }

private:
    void run_product(Product product, const Tensor* inputs, const Tensor* outputs, const Workers& workers,
                     std::byte* scratch) const {
        product.a = inputs[0].data;
        product.c = outputs[0].data;
        product.b = conv_.weights_for_run(inputs[1].data, workers, scratch);
        if (has_bias_) product.bias = conv_.memory().bias_for_run(inputs[2], bias_stride_, bias_elements_, scratch);
        if (has_residual_) product.residual = inputs[3].data;
        conv_.run(product, workers, scratch);
    }

    bool has_bias_, has_residual_;
    std::int64_t bias_stride_, bias_elements_;
    RowWindow rows_{0, 0, 0};
    ConvProduct conv_;
};

const ConvEntry& entry_behind(const StepDesc& desc, const Row& row) {
    for (const Table<ConvEntry>* table : kTables) {
        for (int i = 0; i < table->count; ++i) {
            if (&table->entries[i].trunk.row == &row) return table->entries[i];
        }
    }
    throw PlanError(where(desc) + "row is not of this family, got " + row_name(row));
}

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool dry) {
    const ConvEntry& entry = entry_behind(desc, row);
    if (desc.op == "conv_grad_input") return make_conv_grad_input(desc, entry);
    if (desc.op == "conv_grad_weight") return make_conv_grad_weight(desc, entry);
    const ConvOperands at = conv_operands(desc, row.a);
    return std::make_unique<ConvStep>(desc, entry, at, window(desc, at, entry), dry);
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
