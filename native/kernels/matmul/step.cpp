// matmul(a[…, M, K], b[…, K, N], bias?, residual?): NumPy's matmul with broadcast batches, on the trunk.
//
// Batches that b does not vary over become rows; the others become items. A bias that varies over n alone is added as
// a vector; any other bias is added as a residual is, so it cannot stand beside one.
//
// scaled_matmul, of int8 weights and a scale, is step_dequantised.cpp.
#include "kernels/matmul/dequantised.hpp"
#include "kernels/matmul/layout.hpp"

namespace thew {
namespace {

const std::initializer_list<const Table<MatmulEntry>*> kTables = {THEW_TABLE_LIST(base, matmul_fp32) THEW_TABLE_LIST(
    base, matmul_fp64) THEW_TABLE_LIST(fp16, matmul_fp16) THEW_TABLE_LIST(bf16, matmul_bf16)};

class MatmulStep final : public Step {
public:
    MatmulStep(const StepDesc& desc, const MatmulEntry& entry, bool dry) : entry_(entry) {
        require_counts(desc, 2, 4);
        for (std::size_t i = 0; i < desc.inputs.size(); ++i) {
            if (present(desc, i) && i != 2) require_dtype(desc, desc.inputs[i], entry.row.a, "every input");
        }
        require_dtype(desc, desc.outputs[0], entry.row.a, "the output");
        const Tensor a = as_matrix(desc.inputs[0], true), b = as_matrix(desc.inputs[1], false);
        Tensor c = desc.outputs[0];
        require(desc.inputs[0].rank >= 1 && desc.inputs[1].rank >= 1 && c.rank < kMaxRank - 1,
                where(desc) + "a and b must have a dimension at least, and at most " + std::to_string(kMaxRank - 2));
        if (desc.inputs[0].rank == 1) c = insert_one(c, desc.inputs[1].rank == 1 ? 0 : c.rank - 1);
        if (desc.inputs[1].rank == 1) c = insert_one(c, c.rank);
        check_matmul_shapes(desc, a, b, c);
        Tensor bias{}, residual{};
        if (present(desc, 2)) bias = added(desc, 2, c);
        if (present(desc, 3)) residual = added(desc, 3, c);
        place_bias(desc, bias, residual, c.rank);
        lay_out_matmul(product_, b_, a, b, c, residual_input_ < 0 ? nullptr : &residual, entry.k_multiple,
                       entry.vector);
        b_.pack = entry.pack_b;
        b_.panel = entry.row.nr;
        product_.epilogue = parse_epilogue(desc.attributes);

        const TileShape tile = tile_shape(entry);
        product_.a_columns = entry.column_pitch > 0 && product_.a_k != 1 && product_.row.rank == 1 &&
                             product_.row.a[0] == 1 && product_.m >= entry.vector;
        choose_blocking(product_, desc, tile, entry.reads_in_place, product_.a_columns ? entry.column_pitch : 0);
        const std::int64_t gathered = bias_input_ == 2 ? bias_to_gather(desc.inputs[2], bias_stride_, product_.n) : 0;
        memory_ = TrunkMemory(product_, b_, tile, desc.threads, desc.constant[1], gathered);
        if (desc.constant[1] && !dry) memory_.pack_constant(b_, desc.inputs[1].data);
    }

    std::size_t scratch_bytes() const override { return memory_.scratch_bytes(); }
    std::size_t packed_bytes() const override { return memory_.packed_bytes(); }
    bool packs(std::size_t input) const override { return input == 1 && memory_.b_is_constant(); }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        Product product = product_;
        product.a = inputs[0].data;
        product.c = outputs[0].data;
        product.b = memory_.b_for_run(b_, inputs[1].data, workers, scratch);
        if (bias_input_ >= 0)
            product.bias = memory_.bias_for_run(inputs[bias_input_], bias_stride_, product.n, scratch);
        if (residual_input_ >= 0) product.residual = inputs[residual_input_].data;
        entry_.run(product, workers, scratch);
    }

private:
    Tensor added(const StepDesc& desc, std::size_t input, const Tensor& c) {
        // A bias or residual of a product of vectors lacks the dimensions that were put into c; it is broadcast as
        // the output is, and then given them.
        Tensor view = broadcast_view(desc.inputs[input], desc.outputs[0], where(desc));
        if (desc.inputs[0].rank == 1) view = insert_one(view, desc.inputs[1].rank == 1 ? 0 : view.rank - 1);
        if (desc.inputs[1].rank == 1) view = insert_one(view, view.rank);
        require(view.rank == c.rank, where(desc) + "bias and residual must broadcast to the output");
        return view;
    }

    void place_bias(const StepDesc& desc, const Tensor& bias, Tensor& residual, int rank) {
        residual_input_ = present(desc, 3) ? 3 : -1;
        if (!present(desc, 2)) return;
        bool vector = true;
        for (int d = 0; d < rank - 1; ++d) vector = vector && (bias.shape[d] == 1 || bias.stride[d] == 0);
        if (vector) {
            require_bias_dtype(desc, bias, entry_.row.a);
            bias_input_ = 2;
            bias_stride_ = bias.shape[rank - 1] == 1 ? 1 : bias.stride[rank - 1];
            return;
        }
        require(residual_input_ < 0, where(desc) +
                                         "a bias that varies over more than n cannot stand beside a residual; "
                                         "leave one of them an add of its own");
        require_dtype(desc, bias, entry_.row.a, "a bias that varies over more than n");
        residual_input_ = 2;
        residual = bias;
    }

    const MatmulEntry& entry_;
    Product product_{};
    TrunkB b_{};
    TrunkMemory memory_;
    int bias_input_ = -1, residual_input_ = -1;
    std::int64_t bias_stride_ = 1;
};

std::vector<const Row*> rows() { return rows_of(kTables); }

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool dry) {
    return desc.op == "scaled_matmul" ? make_dequantised(desc, row, dry) : matmul_step(desc, row, dry);
}

}  // namespace

std::unique_ptr<Step> matmul_step(const StepDesc& desc, const Row& row, bool dry) {
    return std::make_unique<MatmulStep>(desc, entry_of(kTables, row), dry);
}

extern const Family matmul_family;
const Family matmul_family{"matmul", rows, make};

}  // namespace thew
