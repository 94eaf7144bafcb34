// Checks a depthwise convolution, repacks its weights (here where they are constant, else at each run), and runs it.
#include "kernels/depthwise/layout.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<DepthwiseEntry>*> kTables = {
    THEW_TABLE_LIST(base, depthwise_table) THEW_TABLE_LIST(base, depthwise_groups) THEW_TABLE_LIST(bf16, depthwise_bf16)
        THEW_TABLE_LIST(base, depthwise_bytes) THEW_TABLE_LIST(int8, depthwise_byte_groups)};
constexpr std::initializer_list<const Table<DepthwiseGradEntry>*> kGradTables = {THEW_TABLE_LIST(base, depthwise_grad)};

class DepthwiseStep final : public Step {
public:
    DepthwiseStep(const StepDesc& desc, const DepthwiseEntry& entry, const DepthwiseArgs& args, const Tensor& weight,
                  bool dry)
        : entry_(entry),
          args_(args),
          weight_(weight),
          has_bias_(present(desc, 2)),
          constant_(desc.constant[1] && (!has_bias_ || desc.constant[2])),
          threads_(desc.threads),
          packed_bytes_(packed_depthwise_bytes(args, entry.row.acc)) {
        if (!constant_ || dry) return;
        packed_ = AlignedBuffer(packed_bytes_);
        pack_depthwise(args_, entry.row, weight, has_bias_ ? &desc.inputs[2] : nullptr, packed_.data());
    }

    std::size_t scratch_bytes() const override {
        return (constant_ ? 0 : packed_bytes_) +
               static_cast<std::size_t>(entry_.scratch_bytes(args_)) * static_cast<std::size_t>(threads_);
    }
    std::size_t packed_bytes() const override { return constant_ ? packed_bytes_ : 0; }
    bool packs(std::size_t input) const override { return constant_ && (input == 1 || input == 2); }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        DepthwiseArgs args = args_;
        if (!constant_) {
            Tensor weight = weight_;
            weight.data = inputs[1].data;
            pack_depthwise(args, entry_.row, weight, has_bias_ ? &inputs[2] : nullptr, scratch);
            scratch += packed_bytes_;
        }
        run_with(args, inputs, outputs, workers, scratch);
    }
    RowWindow row_window() const override { return constant_ ? depthwise_window(args_) : RowWindow{}; }
    void run_rows(const Tensor* inputs, const Tensor* outputs, std::int64_t first, std::int64_t last,
                  std::byte* scratch) const override {
        run_with(depthwise_rows(args_, first, last), inputs, outputs, Workers{1, nullptr, nullptr}, scratch);
    }

private:
    void run_with(const DepthwiseArgs& args, const Tensor* inputs, const Tensor* outputs, const Workers& workers,
                  std::byte* scratch) const {
        entry_.run(args, depthwise_views(inputs[0], outputs[0], args.residual ? inputs[3] : Tensor{}), workers,
                   scratch);
    }

    const DepthwiseEntry& entry_;
    DepthwiseArgs args_;
    Tensor weight_;
    bool has_bias_, constant_;
    int threads_;
    std::size_t packed_bytes_;
    AlignedBuffer packed_;
};

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool dry) {
    if (desc.op == "conv_grad_weight") return make_depthwise_grad_weight(desc, entry_of(kGradTables, row));
    const DepthwiseEntry& entry = entry_of(kTables, row);
    if (desc.op == "conv_grad_input") return make_depthwise_grad_input(desc, entry);
    if (dtype_bytes(row.a) == 1) return make_depthwise_bytes(desc, entry, dry);
    const DepthwiseOperands at = depthwise_operands(desc, row);
    check_depthwise(desc, at, row);
    return std::make_unique<DepthwiseStep>(desc, entry, depthwise_arguments(desc, at), at.w, dry);
}

std::vector<const Row*> rows() {
    std::vector<const Row*> found = rows_of(kTables);
    const std::vector<const Row*> gradients = rows_of(kGradTables);
    found.insert(found.end(), gradients.begin(), gradients.end());
    return found;
}

}  // namespace

extern const Family depthwise_family;
const Family depthwise_family{"depthwise", rows, make};

}  // namespace thew
