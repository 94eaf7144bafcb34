// matmul(a[m, k], b[k, n], bias[n]?, residual?), the same with int8 weights and a scale (scaled_matmul), and conv with
// a window of 1×1, whose rows are pixels: with constant weights, packed here.
#include "kernels/activation_parse.hpp"
#include "kernels/gemv/pack.hpp"
#include "kernels/gemv/packed.hpp"
#include "kernels/window.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<PackedGemvEntry>*> kTables THEW_TABLES(base, gemv_packed);
constexpr std::size_t kBias = 2, kResidual = 3, kScale = 4;

struct Matrices {
    Tensor a, b, y, residual;  // of rank 2; residual.rank is -1 where there is none
};

// Pixels as rows: those of an image whose channels lie side by side, evenly spaced.
Tensor pixels(const StepDesc& desc, const Tensor& tensor) {
    const Tensor image = as_image(tensor);
    std::int64_t step = 0, rows = 1;
    for (int axis : {3, 2, 0}) {
        if (image.shape[axis] == 1) continue;
        if (rows == 1) step = image.stride[axis];
        require(rows == 1 || image.stride[axis] == step * rows,
                where(desc) + "pixels must be evenly spaced; use a row of the conv family");
        rows *= image.shape[axis];
    }
    return {image.data, image.dtype, 2, {rows, image.shape[1]}, {step, image.stride[1]}};
}

Matrices matrices_of_conv(const StepDesc& desc) {
    const Tensor &x = desc.inputs[0], &w = desc.inputs[1], &y = desc.outputs[0];
    require(require_convolution(desc, x, w, y) == 1, where(desc) + "there must be one group, use a conv row");
    const std::vector<std::int64_t> kernel(w.shape + 2, w.shape + w.rank);
    const Window2d window = window_of(desc, x.rank, kernel);
    require_window(desc, window, as_image(x), as_image(y), false);
    for (int axis = 0; axis < 2; ++axis) {
        require(
            window.kernel[axis] == 1 && window.stride[axis] == 1 && window.pad[axis] == 0 && window.pad_end[axis] == 0,
            where(desc) + "the window must be 1x1, at stride 1, without padding; use a row of the conv family");
    }
    require_bias(desc, w.shape[0]);
    const Tensor b{w.data, w.dtype, 2, {w.shape[1], w.shape[0]}, {w.stride[1], w.stride[0]}};
    Matrices found{pixels(desc, x), b, pixels(desc, y), {}};
    found.residual.rank = -1;
    if (present(desc, kResidual)) found.residual = pixels(desc, broadcast_view(desc.inputs[kResidual], y, where(desc)));
    return found;
}

Matrices matrices_of_product(const StepDesc& desc) {
    Matrices found{desc.inputs[0], desc.inputs[1], desc.outputs[0], {}};
    found.residual.rank = -1;
    if (present(desc, kResidual)) found.residual = broadcast_view(desc.inputs[kResidual], found.y, where(desc));
    return found;
}

void require_side_by_side(const StepDesc& desc, const Tensor& tensor, const char* what) {
    require(tensor.shape[1] <= 1 || tensor.shape[0] == 0 || tensor.stride[1] == 1,
            where(desc) + "columns of " + what + " must lie side by side; use a row that packs them");
}

class PackedGemvStep final : public Step {
public:
    PackedGemvStep(const StepDesc& desc, const PackedGemvEntry& entry, bool dry) : entry_(entry) {
        const bool scaled = desc.op == "scaled_matmul";
        require(scaled || desc.op == "matmul" || desc.op == "conv",
                where(desc) + "op must be matmul, scaled_matmul or conv");
        require_counts(desc, 2, kScale + 1);
        require(scaled == (entry.row.b == DType::int8) && scaled == present(desc, kScale),
                where(desc) + "int8 weights, a scale and a row for them go together");
        require(desc.constant[1], where(desc) + "weights must be constant; use another row");
        const Matrices found = desc.op == "conv" ? matrices_of_conv(desc) : matrices_of_product(desc);
        check(desc, found);
        gemv_.m = found.y.shape[0], gemv_.n = found.y.shape[1], gemv_.k = found.b.shape[0];
        gemv_.a_m = found.a.stride[0], gemv_.y_m = found.y.stride[0];
        has_residual_ = found.residual.rank >= 0;
        gemv_.residual_m = has_residual_ ? found.residual.stride[0] : 0;
        gemv_.epilogue = parse_epilogue(desc.attributes);
        scale_ = vector(desc, kScale, dry);
        bias_ = vector(desc, kBias, dry);
        gemv_.scale = scale_.as<float>();
        gemv_.bias = bias_.as<float>();
        packed_bytes_ = scale_.bytes() + bias_.bytes();
        if (dry) {  // what is kept of the weights is not known yet: at most all
            packed_bytes_ += checked_bytes(static_cast<std::size_t>(gemv_.k * gemv_.n), dtype_bytes(entry.row.b));
        } else {
            pack(desc, found.b);
            packed_bytes_ += packed_.bytes();
        }
    }

    std::size_t packed_bytes() const override { return packed_bytes_; }
    bool packs(std::size_t input) const override { return input == 1 || input == kScale || input == kBias; }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte*) const override {
        const void* residual = has_residual_ ? inputs[kResidual].data : nullptr;
        entry_.run(gemv_, static_cast<const float*>(inputs[0].data), static_cast<const float*>(residual),
                   static_cast<float*>(outputs[0].data), workers);
    }

private:
    void check(const StepDesc& desc, const Matrices& found) const {
        const Tensor &a = found.a, &b = found.b, &y = found.y;
        require(a.rank == 2 && b.rank == 2 && y.rank == 2 && a.shape[1] == b.shape[0] && y.shape[0] == a.shape[0] &&
                    y.shape[1] == b.shape[1],
                where(desc) + "shapes must be (m, k) by (k, n) into (m, n), got " + shape_text(a) + ", " +
                    shape_text(b) + " and " + shape_text(y));
        require_dtype(desc, a, DType::fp32, "a");
        require_dtype(desc, b, entry_.row.b, "the weights");
        require_dtype(desc, y, DType::fp32, "the output");
        require_side_by_side(desc, a, "a");
        require_side_by_side(desc, y, "y");
        if (found.residual.rank >= 0) {
            require_dtype(desc, found.residual, DType::fp32, "the residual");
            require_side_by_side(desc, found.residual, "the residual");
        }
    }

    // A constant of one number, or of one a column, as that many; nothing where it is absent.
    AlignedBuffer vector(const StepDesc& desc, std::size_t input, bool dry) const {
        if (!present(desc, input)) return {};
        const Tensor& given = desc.inputs[input];
        const std::int64_t count = element_count(given);
        require(desc.constant[input] && (count == 1 || count == gemv_.n) &&
                    (given.rank == 0 || given.shape[given.rank - 1] == count),
                where(desc) + "scale and bias must be constants of one number or " + std::to_string(gemv_.n) +
                    ", got " + shape_text(given) + "; use a row of the matmul family");
        require_dtype(desc, given, DType::fp32, "scale and bias");
        AlignedBuffer numbers(checked_bytes(static_cast<std::size_t>(gemv_.n), sizeof(float)));
        if (dry) return numbers;
        const std::int64_t step = count == 1 ? 0 : given.stride[given.rank - 1];
        for (std::int64_t i = 0; i < gemv_.n; ++i)
            numbers.as<float>()[i] = static_cast<const float*>(given.data)[i * step];
        return numbers;
    }

    void pack(const StepDesc& desc, const Tensor& b) {
        const std::string algorithm = entry_.row.algorithm;
        const std::int64_t panel = entry_.row.nr;
        packed_ = algorithm == "widened"  ? pack_widened(b, panel)
                  : algorithm == "blocks" ? pack_blocks(b, panel)
                                          : pack_structured(b, panel, where(desc));
        gemv_.weights = packed_.weights.data();
        gemv_.places = packed_.places.as<std::uint32_t>();
        gemv_.first = packed_.first.as<std::int64_t>();
        gemv_.kept = packed_.kept;
    }

    const PackedGemvEntry& entry_;
    PackedGemv gemv_{};
    PackedWeights packed_;
    AlignedBuffer scale_, bias_;
    std::size_t packed_bytes_ = 0;
    bool has_residual_ = false;
};

}  // namespace

std::vector<const Row*> packed_gemv_rows() { return rows_of(kTables); }

std::unique_ptr<Step> make_packed_gemv(const StepDesc& desc, const Row& row, bool dry) {
    return std::make_unique<PackedGemvStep>(desc, entry_of(kTables, row), dry);
}

}  // namespace thew
