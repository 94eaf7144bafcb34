// scaled_matmul(a, b, bias?, residual?, scale) on the trunk: weights are dequantised once, before they are packed.
#include "kernels/matmul/dequantised.hpp"

#include "kernels/dispatch.hpp"
#include "kernels/strided.hpp"

#include "base/aligned.hpp"

namespace thew {
namespace {

constexpr std::size_t kWeights = 1, kScale = 4;

class DequantisedStep final : public Step {
public:
    explicit DequantisedStep(std::unique_ptr<Step> product) : product_(std::move(product)) {}

    std::size_t scratch_bytes() const override { return product_->scratch_bytes(); }
    std::size_t packed_bytes() const override { return product_->packed_bytes(); }
    bool packs(std::size_t input) const override { return input == kScale || product_->packs(input); }
    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        product_->run(inputs, outputs, workers, scratch);
    }

private:
    std::unique_ptr<Step> product_;
};

// Row by row, in C order.
void dequantise(const Tensor& b, const Tensor& scale, float* to) {
    const auto* from = static_cast<const std::int8_t*>(b.data);
    const auto* factors = static_cast<const float*>(scale.data);
    const std::int64_t step = element_count(scale) == 1 ? 0 : scale.stride[0];
    for (std::int64_t k = 0; k < b.shape[0]; ++k) {
        for (std::int64_t n = 0; n < b.shape[1]; ++n)
            *to++ = static_cast<float>(from[k * b.stride[0] + n * b.stride[1]]) * factors[n * step];
    }
}

}  // namespace

std::unique_ptr<Step> make_dequantised(const StepDesc& desc, const Row& row, bool dry) {
    require_counts(desc, 2, kScale + 1);
    require(present(desc, kScale), where(desc) + "int8 weights must have a scale");
    const Tensor &b = desc.inputs[kWeights], &scale = desc.inputs[kScale];
    require(b.rank == 2 && b.dtype == DType::int8 && desc.constant[kWeights] && desc.constant[kScale],
            where(desc) + "weights must be a constant matrix of int8, with a constant scale");
    require_dtype(desc, scale, DType::fp32, "the scale");
    require(scale.rank <= 1 && (element_count(scale) == 1 || element_count(scale) == b.shape[1]),
            where(desc) + "the scale must be one number or one a column, got " + shape_text(scale));
    AlignedBuffer wide;
    StepDesc product = desc;
    product.op = "matmul";
    product.inputs.pop_back();
    product.constant.pop_back();
    Tensor& weights = product.inputs[kWeights];
    weights = {nullptr, DType::fp32, 2, {b.shape[0], b.shape[1]}, {b.shape[1], 1}};
    if (!dry) {
        wide = AlignedBuffer(checked_bytes(static_cast<std::size_t>(element_count(b)), sizeof(float)));
        dequantise(b, scale, wide.as<float>());
        weights.data = wide.data();
    }
    return std::make_unique<DequantisedStep>(matmul_step(product, row, dry));
}

}  // namespace thew
