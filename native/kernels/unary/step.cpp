// Steps of the unary family: the attributes that each op reads, and clip's bounds, read at every run.
#include <cstring>
#include <limits>
#include <map>

#include "kernels/elementwise_step.hpp"
#include "kernels/scalar.hpp"
#include "kernels/unary/contract.hpp"

namespace thew {
namespace {

const std::initializer_list<const Table<OpEntry>*> kTables = {
    THEW_TABLE_LIST(base, unary_fp32) THEW_TABLE_LIST(base, unary_fp64) THEW_TABLE_LIST(base, unary_integer)};

struct Parameter {
    const char* name;
    double fallback;
};
// The attributes that become p[0] and p[1], with ONNX's defaults.
const std::map<std::string, std::vector<Parameter>> kParameters{
    {"leaky_relu", {{"alpha", 0.01}}},
    {"elu", {{"alpha", 1.0}}},
    {"selu", {{"alpha", 1.67326319217681884765625}, {"gamma", 1.05070102214813232421875}}},
    {"celu", {{"alpha", 1.0}}},
    {"hard_sigmoid", {{"alpha", 0.2}, {"beta", 0.5}}},
    {"silu", {{"alpha", 1.0}}},
    {"swish", {{"alpha", 1.0}}},
    {"thresholded_relu", {{"alpha", 1.0}}},
};

UnaryParameters read_parameters(const StepDesc& desc) {
    UnaryParameters parameters{};
    auto found = kParameters.find(desc.op);
    if (found == kParameters.end()) return parameters;
    int at = 0;
    for (const Parameter& parameter : found->second) {
        parameters.p[at++] = desc.attributes.real(parameter.name, parameter.fallback);
    }
    return parameters;
}

template <class T>
void widest_bounds(UnaryParameters& parameters) {
    using Limits = std::numeric_limits<T>;
    const T low = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    const T high = Limits::has_infinity ? Limits::infinity() : Limits::max();
    std::memcpy(parameters.bounds[0], &low, sizeof(T));
    std::memcpy(parameters.bounds[1], &high, sizeof(T));
}

void widest_bounds(DType dtype, UnaryParameters& parameters) {
    switch (dtype) {
        case DType::fp64: return widest_bounds<double>(parameters);
        case DType::fp32:
        case DType::fp16:
        case DType::bf16: return widest_bounds<float>(parameters);
        case DType::int64: return widest_bounds<std::int64_t>(parameters);
        case DType::int32: return widest_bounds<std::int32_t>(parameters);
        case DType::int16: return widest_bounds<std::int16_t>(parameters);
        case DType::int8: return widest_bounds<std::int8_t>(parameters);
        case DType::uint64: return widest_bounds<std::uint64_t>(parameters);
        case DType::uint32: return widest_bounds<std::uint32_t>(parameters);
        case DType::uint16: return widest_bounds<std::uint16_t>(parameters);
        default: return widest_bounds<std::uint8_t>(parameters);
    }
}

void read_bound(const Tensor& bound, int which, UnaryParameters& parameters) {
    if (bound.dtype == DType::fp16 || bound.dtype == DType::bf16) {
        const auto wide = static_cast<float>(to_real(bound.data, bound.dtype));
        std::memcpy(parameters.bounds[which], &wide, sizeof wide);
        return;
    }
    std::memcpy(parameters.bounds[which], bound.data, dtype_bytes(bound.dtype));
}

// clip(x, min?, max?): an absent bound is the type's widest.
class ClipStep : public ElementwiseStep<UnaryParameters> {
public:
    ClipStep(const StepDesc& desc, StridedLoop loop, LeafKernel kernel)
        : ElementwiseStep(loop, kernel, UnaryParameters{}) {
        widest_bounds(desc.inputs[0].dtype, parameters_);
        for (std::size_t input = 1; input < 3; ++input) {
            if (!present(desc, input)) continue;
            const Tensor& bound = desc.inputs[input];
            require(element_count(bound) == 1,
                    where(desc) + "a bound must be one number, got shape " + shape_text(bound));
            require_dtype(desc, bound, desc.inputs[0].dtype, "a bound");
            given_[input - 1] = true;
        }
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte*) const override {
        UnaryParameters parameters = parameters_;
        for (int which = 0; which < 2; ++which) {
            if (given_[which]) read_bound(inputs[which + 1], which, parameters);
        }
        std::byte* data[] = {static_cast<std::byte*>(outputs[0].data), static_cast<std::byte*>(inputs[0].data)};
        run_loop(loop_, data, workers, kernel_, &parameters);
    }

private:
    bool given_[2] = {false, false};
};

std::vector<const Row*> rows() { return rows_of(kTables); }

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    const bool clips = desc.op == "clip";
    require_counts(desc, 1, clips ? 3 : 1);
    require_dtype(desc, desc.inputs[0], row.a, "the input");
    require_dtype(desc, desc.outputs[0], row.a, "the output");
    const bool gelu_tanh = desc.op == "gelu" && desc.attributes.text("approximate", "none") == "tanh";
    const LeafKernel kernel = find_kernel(desc, entry_of(kTables, row), gelu_tanh ? "gelu_tanh" : desc.op);
    const StridedLoop loop = loop_of(desc, 1);
    if (clips) return std::make_unique<ClipStep>(desc, loop, kernel);
    return std::make_unique<ElementwiseStep<UnaryParameters>>(loop, kernel, read_parameters(desc));
}

}  // namespace

extern const Family unary_family{"unary", rows, make};

}  // namespace thew
