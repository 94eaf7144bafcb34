// Checks a dropout_training and walks its tensor in C order.
#include "kernels/axes_plan.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/dropout/contract.hpp"
#include "kernels/strided.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<DropoutEntry>*> kTables THEW_TABLES(base, dropout_table);

class DropoutStep final : public Step {
public:
    DropoutStep(const StepDesc& desc, const DropoutEntry& entry) : entry_(entry) {
        const Tensor &x = desc.inputs[0], &y = desc.outputs[0];
        const double ratio = desc.attributes.real("ratio", 0.5);
        require(ratio >= 0 && ratio < 1, where(desc) + "ratio must be within [0, 1), got " + std::to_string(ratio));
        args_.below = static_cast<std::uint64_t>(ratio * 4294967296.0);
        args_.factor = 1 / (1 - ratio);
        args_.stream = static_cast<std::uint32_t>(desc.attributes.integer("stream", 0));
        // The innermost axes that both walk as one are the columns; the rest, in C order, are rows.
        int axis = x.rank;
        args_.columns = args_.x_step = args_.y_step = 1;
        while (axis > 0) {
            const std::int64_t extent = x.shape[axis - 1];
            const bool first = args_.columns == 1;
            if (extent != 1 && !first &&
                (x.stride[axis - 1] != args_.columns * args_.x_step ||
                 y.stride[axis - 1] != args_.columns * args_.y_step)) {
                break;
            }
            if (extent != 1 && first) args_.x_step = x.stride[axis - 1], args_.y_step = y.stride[axis - 1];
            args_.columns *= extent;
            --axis;
        }
        for (int outer = 0; outer < axis; ++outer) {
            append_axis(args_.of_rows, x.shape[outer], x.stride[outer], y.stride[outer]);
        }
        args_.rows = args_.of_rows.count;
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte*) const override {
        DropoutArgs args = args_;
        const auto seed = static_cast<std::uint64_t>(*static_cast<const std::int64_t*>(inputs[1].data));
        args.key[0] = static_cast<std::uint32_t>(seed);
        args.key[1] = static_cast<std::uint32_t>(seed >> 32);
        args.offset = static_cast<std::uint32_t>(*static_cast<const std::int64_t*>(inputs[2].data));
        if (args.rows > 0 && args.columns > 0) entry_.run(args, inputs[0].data, outputs[0].data, workers);
    }

private:
    const DropoutEntry& entry_;
    DropoutArgs args_{};
};

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    require(desc.op == "dropout_training", where(desc) + "op must be dropout_training");
    require_counts(desc, 3, 3);
    require_dtype(desc, desc.inputs[0], row.a, "x");
    require_dtype(desc, desc.outputs[0], row.a, "y");
    require(
        same_shape(desc.inputs[0], desc.outputs[0]),
        where(desc) + "y must have x's shape " + shape_text(desc.inputs[0]) + ", got " + shape_text(desc.outputs[0]));
    for (std::size_t i = 1; i < 3; ++i) {
        require_dtype(desc, desc.inputs[i], DType::int64, "seed and offset");
        require(element_count(desc.inputs[i]) == 1, where(desc) + "seed and offset must be one number each");
    }
    return std::make_unique<DropoutStep>(desc, entry_of(kTables, row));
}

}  // namespace

extern const Family dropout_family;
const Family dropout_family{"dropout", [] { return rows_of(kTables); }, make};

}  // namespace thew
