// matmul(a[m, k], b[k, n], bias[n]?) without packing; vectors are matrices of one row or column, as in NumPy.
#include "kernels/activation_parse.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/gemv/contract.hpp"
#include "kernels/gemv/packed.hpp"
#include "kernels/strided.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<GemvEntry>*> kTables THEW_TABLES(base, gemv_table);

class GemvStep final : public Step {
public:
    GemvStep(const StepDesc& desc, const GemvEntry& entry) : entry_(entry), has_bias_(present(desc, 2)) {
        require(desc.op == "matmul", where(desc) + "op must be matmul");
        require_counts(desc, 2, 3);
        for (const Tensor& tensor : desc.inputs) {
            if (tensor.rank >= 0) require_dtype(desc, tensor, entry.row.a, "every input");
        }
        const Tensor &a = desc.inputs[0], &b = desc.inputs[1], &y = desc.outputs[0];
        require_dtype(desc, y, entry.row.a, "the output");
        require(a.rank == 2 && b.rank == 2 && y.rank == 2 && a.shape[1] == b.shape[0] && y.shape[0] == a.shape[0] &&
                    y.shape[1] == b.shape[1],
                where(desc) + "shapes must be (m, k) by (k, n) into (m, n), got " + shape_text(a) + ", " +
                    shape_text(b) + " and " + shape_text(y));
        gemv_ = {a.shape[0],  b.shape[1],  a.shape[1],  a.stride[0], a.stride[1],
                 b.stride[0], b.stride[1], y.stride[0], 0,           parse_epilogue(desc.attributes)};
        if (gemv_.k <= 1 || gemv_.m == 0) gemv_.a_k = gemv_.b_k = 1;
        if (gemv_.n == 1) gemv_.b_n = gemv_.b_k == 1 && gemv_.a_k == 1 ? gemv_.k : 1;
        const bool rows = gemv_.b_n == 1, columns = gemv_.b_k == 1 && gemv_.a_k == 1;
        require(rows || columns, where(desc) +
                                     "b's columns must lie side by side, or its rows and a's columns; use a "
                                     "row of the matmul family");
        require(gemv_.n <= 1 || gemv_.m == 0 || y.stride[1] == 1, where(desc) + "y's columns must lie side by side");
        if (has_bias_) place_bias(desc);
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte*) const override {
        entry_.run(gemv_, inputs[0].data, inputs[1].data, has_bias_ ? inputs[2].data : nullptr, outputs[0].data,
                   workers);
    }

private:
    void place_bias(const StepDesc& desc) {
        const Tensor view = broadcast_view(desc.inputs[2], desc.outputs[0], where(desc));
        require(view.shape[0] <= 1 || view.stride[0] == 0,
                where(desc) + "bias must vary over n alone; use a row of the matmul family");
        gemv_.bias_stride = view.stride[1];
    }

    const GemvEntry& entry_;
    Gemv gemv_{};
    bool has_bias_;
};

std::vector<const Row*> rows() {
    std::vector<const Row*> rows = rows_of(kTables);
    for (const Row* row : packed_gemv_rows()) rows.push_back(row);
    return rows;
}

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool dry) {
    if (std::string(row.algorithm) != "direct") return make_packed_gemv(desc, row, dry);
    return std::make_unique<GemvStep>(desc, entry_of(kTables, row));
}

}  // namespace

extern const Family gemv_family;
const Family gemv_family{"gemv", rows, make};

}  // namespace thew
