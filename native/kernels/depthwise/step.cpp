// Checks a depthwise convolution, repacks its weights, and runs it.
#include "kernels/depthwise/layout.hpp"
#include "kernels/scalar.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<DepthwiseEntry>*> kTables = {THEW_TABLE_LIST(
    base, depthwise_table) THEW_TABLE_LIST(bf16, depthwise_bf16) THEW_TABLE_LIST(base, depthwise_bytes)};

class DepthwiseStep final : public Step {
public:
    DepthwiseStep(const DepthwiseEntry& entry, const DepthwiseArgs& args, int threads, std::size_t packed_bytes)
        : entry_(entry), args_(args), threads_(threads), packed_bytes_(packed_bytes) {}

    std::size_t scratch_bytes() const override {
        return static_cast<std::size_t>(entry_.scratch_bytes(args_)) * static_cast<std::size_t>(threads_);
    }
    std::size_t packed_bytes() const override { return packed_bytes_; }
    bool packs(std::size_t input) const override { return input == 1 || input == 2; }

    // Line 0 of each multiplier is the bias, line 1 + t tap t, then one that bytes use; a last line is zeros.
    template <class T>
    void pack(const Tensor& weight, const Tensor* bias) {
        packed_ = AlignedBuffer(packed_bytes_);
        T* to = packed_.as<T>();
        for (std::int64_t j = 0; j < args_.multiplier; ++j) {
            for (std::int64_t tap = -1; tap <= args_.kh * args_.kw; ++tap) {
                for (std::int64_t i = 0; i < args_.padded_c; ++i, ++to) {
                    const std::int64_t oc = i * args_.multiplier + j;
                    const bool present = i < args_.c && tap < args_.kh * args_.kw;
                    *to = !present ? T{0} : static_cast<T>(tap >= 0 ? weight_at(weight, oc, tap) : bias_at(bias, oc));
                }
            }
        }
        for (std::int64_t i = 0; i < args_.padded_c; ++i) to[i] = T{0};
        args_.packed = packed_.data();
        args_.zeros = to;
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        run_with(args_, inputs, outputs, workers, scratch);
    }
    RowWindow row_window() const override { return depthwise_window(args_); }
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

    static double element(const Tensor& tensor, std::int64_t offset) {
        const auto bytes = static_cast<std::int64_t>(dtype_bytes(tensor.dtype));
        return to_real(static_cast<const std::byte*>(tensor.data) + offset * bytes, tensor.dtype);
    }
    double weight_at(const Tensor& weight, std::int64_t oc, std::int64_t tap) const {
        return element(weight,
                       oc * weight.stride[0] + tap / args_.kw * weight.stride[2] + tap % args_.kw * weight.stride[3]);
    }
    static double bias_at(const Tensor* bias, std::int64_t oc) {
        return bias ? element(*bias, oc * bias->stride[0]) : 0;
    }

    const DepthwiseEntry& entry_;
    DepthwiseArgs args_;
    int threads_;
    std::size_t packed_bytes_;
    AlignedBuffer packed_;
};

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool dry) {
    if (dtype_bytes(row.a) == 1) return make_depthwise_bytes(desc, entry_of(kTables, row), dry);
    const DepthwiseOperands at = depthwise_operands(desc, row);
    check_depthwise(desc, at, row);
    const DepthwiseArgs args = depthwise_arguments(desc, at);
    const std::size_t bytes =
        checked_bytes(static_cast<std::size_t>(depthwise_lines(args) * args.padded_c), dtype_bytes(row.acc));
    auto step = std::make_unique<DepthwiseStep>(entry_of(kTables, row), args, desc.threads, bytes);
    if (dry) return step;
    const Tensor* bias = present(desc, 2) ? &desc.inputs[2] : nullptr;
    row.acc == DType::fp32 ? step->pack<float>(at.w, bias) : step->pack<double>(at.w, bias);
    return step;
}

}  // namespace

extern const Family depthwise_family;
const Family depthwise_family{"depthwise", [] { return rows_of(kTables); }, make};

}  // namespace thew
