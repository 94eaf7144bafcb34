// matmul(a[…, M, K], b[…, K, N], bias?, residual?): NumPy's matmul with broadcast batches, on the trunk.
//
// Batches that b does not vary over become rows; the others become items. A bias that varies over n alone is added as
// a vector; any other bias is added as a residual is, so it cannot stand beside one.
#include "kernels/matmul/trunk_step.hpp"
#include "kernels/strided.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<MatmulEntry>*> kTables THEW_TABLES(base, matmul_table);

// `tensor` with at least two dimensions: a vector is a row (a) or a column (b), as in NumPy.
Tensor as_matrix(Tensor tensor, bool vector_is_row) {
    if (tensor.rank != 1) return tensor;
    const int kept = vector_is_row ? 1 : 0;
    const std::int64_t extent = tensor.shape[0], stride = tensor.stride[0];
    tensor.rank = 2;
    tensor.shape[kept] = extent, tensor.stride[kept] = stride;
    tensor.shape[1 - kept] = 1, tensor.stride[1 - kept] = 0;
    return tensor;
}

Tensor insert_one(Tensor tensor, int at) {
    for (int d = tensor.rank; d > at; --d) {
        tensor.shape[d] = tensor.shape[d - 1];
        tensor.stride[d] = tensor.stride[d - 1];
    }
    tensor.shape[at] = 1, tensor.stride[at] = 1;
    tensor.rank += 1;
    return tensor;
}

class MatmulStep final : public Step {
public:
    MatmulStep(const StepDesc& desc, const MatmulEntry& entry, bool dry) : entry_(entry) {
        require_counts(desc, 2, 4);
        for (const Tensor& tensor : desc.inputs) {
            if (tensor.rank >= 0) require_dtype(desc, tensor, entry.row.a, "every input");
        }
        require_dtype(desc, desc.outputs[0], entry.row.a, "the output");
        const Tensor a = as_matrix(desc.inputs[0], true), b = as_matrix(desc.inputs[1], false);
        Tensor c = desc.outputs[0];
        require(desc.inputs[0].rank >= 1 && desc.inputs[1].rank >= 1 && c.rank < kMaxRank - 1,
                where(desc) + "a and b must have a dimension at least, and at most " + std::to_string(kMaxRank - 2));
        if (desc.inputs[0].rank == 1) c = insert_one(c, desc.inputs[1].rank == 1 ? 0 : c.rank - 1);
        if (desc.inputs[1].rank == 1) c = insert_one(c, c.rank);
        check_shapes(desc, a, b, c);
        Tensor bias{}, residual{};
        if (present(desc, 2)) bias = added(desc, 2, c);
        if (present(desc, 3)) residual = added(desc, 3, c);
        place_bias(desc, bias, residual, c.rank);
        lay_out(a, b, c, residual);
        product_.epilogue = parse_epilogue(desc.attributes);

        const TileShape tile = tile_shape(entry);
        product_.a_columns =
            product_.a_k != 1 && product_.row.rank == 1 && product_.row.a[0] == 1 && product_.m >= entry.vector;
        choose_blocking(product_, desc.caches, tile, desc.threads, entry.reads_in_place,
                        product_.a_columns ? entry.column_pitch : 0);
        const bool packed_bias = bias_input_ == 2 && bias_stride_ != 1;
        memory_ = TrunkMemory(product_, b_, tile, desc.threads, desc.constant[1], packed_bias ? product_.n : 0);
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
    void check_shapes(const StepDesc& desc, const Tensor& a, const Tensor& b, const Tensor& c) {
        const int batch = std::max(a.rank, b.rank) - 2;
        bool fits = c.rank == batch + 2 && a.shape[a.rank - 1] == b.shape[b.rank - 2] &&
                    c.shape[c.rank - 2] == a.shape[a.rank - 2] && c.shape[c.rank - 1] == b.shape[b.rank - 1];
        for (int d = 0; fits && d < batch; ++d) {
            const int in_a = d - (c.rank - a.rank), in_b = d - (c.rank - b.rank);
            const std::int64_t of_a = in_a < 0 ? 1 : a.shape[in_a], of_b = in_b < 0 ? 1 : b.shape[in_b];
            fits = (of_a == c.shape[d] || of_a == 1) && (of_b == c.shape[d] || of_b == 1) &&
                   (c.shape[d] == of_a || c.shape[d] == of_b);
        }
        require(fits, where(desc) + "shapes must be (…, m, k) by (…, k, n) into (…, m, n), got " +
                          shape_text(desc.inputs[0]) + ", " + shape_text(desc.inputs[1]) + " and " +
                          shape_text(desc.outputs[0]));
    }

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
            bias_input_ = 2;
            bias_stride_ = bias.shape[rank - 1] == 1 ? 1 : bias.stride[rank - 1];
            return;
        }
        require(residual_input_ < 0, where(desc) +
                                         "a bias that varies over more than n cannot stand beside a residual; "
                                         "leave one of them an add of its own");
        residual_input_ = 2;
        residual = bias;
    }

    void lay_out(const Tensor& a, const Tensor& b, const Tensor& c, const Tensor& residual) {
        product_.m = c.shape[c.rank - 2];
        product_.n = c.shape[c.rank - 1];
        product_.k_real = a.shape[a.rank - 1];
        product_.k = round_up(product_.k_real, entry_.k_multiple);
        product_.a_k = a.stride[a.rank - 1];
        product_.c_n = product_.n == 1 ? 1 : c.stride[c.rank - 1];
        product_.residual_n = residual_input_ < 0 || product_.n == 1 ? 1 : residual.stride[c.rank - 1];
        b_.view.n = product_.n;
        b_.view.n_stride = b.stride[b.rank - 1];
        b_.view.extent[0] = b_.view.extent[1] = 1;
        b_.view.extent[2] = a.shape[a.rank - 1];
        b_.view.stride[2] = b.stride[b.rank - 2];
        b_.pack = entry_.pack_b;
        b_.panel = entry_.row.nr;
        b_.item_elements = packed_b_elements(product_.k, product_.n, entry_.vector);
        for (int d = 0; d < c.rank - 1; ++d) {
            const int in_a = d - (c.rank - a.rank), in_b = d - (c.rank - b.rank);
            const bool is_m = d == c.rank - 2;
            const std::int64_t a_stride = in_a < 0 || a.shape[in_a] == 1 ? 0 : a.stride[in_a];
            const std::int64_t b_stride = is_m || in_b < 0 || b.shape[in_b] == 1 ? 0 : b.stride[in_b];
            Walk& walk = b_stride == 0 ? product_.row : product_.item;
            if (b_stride != 0) {
                b_.item.extent[walk.rank] = c.shape[d];
                b_.item_stride[walk.rank] = b_stride;
            }
            walk.extent[walk.rank] = c.shape[d];
            walk.a[walk.rank] = a_stride;
            walk.c[walk.rank] = c.stride[d];
            walk.residual[walk.rank] = residual_input_ < 0 ? 0 : residual.stride[d];
            walk.rank += 1;
        }
        b_.item.rank = product_.item.rank;
        std::int64_t elements = b_.item_elements;
        for (int d = product_.item.rank - 1; d >= 0; --d) {
            product_.item_b[d] = elements;
            elements *= product_.item.extent[d];
        }
        product_.items = items_of(product_.item);
        product_.m = items_of(product_.row);
        join_strides(product_.row, false, residual_input_ < 0);
        collapse(product_.row);
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
    return std::make_unique<MatmulStep>(desc, entry_of(kTables, row), dry);
}

}  // namespace

extern const Family matmul_family;
const Family matmul_family{"matmul", rows, make};

}  // namespace thew
