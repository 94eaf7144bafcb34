// qlinear_conv where every group has one channel: weights less their zero points become floats that are whole numbers,
// and the bias takes in what x's zero point adds.
#include "kernels/depthwise/layout.hpp"
#include "kernels/integer/operands.hpp"

namespace thew {
namespace {

constexpr std::int64_t kExact = 1 << 24;  // whole numbers up to here are exact in fp32
constexpr const IntegerPlaces& kAt = kQlinearPlaces;

class DepthwiseBytesStep final : public Step {
public:
    DepthwiseBytesStep(const DepthwiseEntry& entry, const DepthwiseArgs& args, int threads)
        : entry_(entry), args_(args), threads_(threads) {}

    std::size_t scratch_bytes() const override {
        return static_cast<std::size_t>(entry_.scratch_bytes(args_)) * static_cast<std::size_t>(threads_);
    }
    std::size_t packed_bytes() const override {
        return checked_bytes(static_cast<std::size_t>(depthwise_lines(args_) * args_.padded_c), sizeof(float));
    }
    bool packs(std::size_t input) const override { return input > 0; }

    void pack(const StepDesc& desc) {
        packed_ = AlignedBuffer(packed_bytes());
        auto* lines = packed_.as<float>();
        std::memset(lines, 0, packed_bytes());
        const std::int64_t taps = args_.kh * args_.kw;
        for (std::int64_t j = 0; j < args_.multiplier; ++j) {
            for (std::int64_t i = 0; i < args_.c; ++i) {
                pack_channel(desc, i * args_.multiplier + j, lines + j * (taps + 2) * args_.padded_c + i);
            }
        }
        float* around = lines + args_.multiplier * (taps + 2) * args_.padded_c;
        std::memset(around, byte_at(desc.inputs[kAt.x_zero], 0), static_cast<std::size_t>(args_.padded_c));
        args_.packed = lines;
        args_.zeros = around;
        args_.y_zero = byte_at(desc.inputs[kAt.y_zero], 0);
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        entry_.run(args_, depthwise_views(inputs[0], outputs[0], Tensor{}), workers, scratch);
    }
    RowWindow row_window() const override { return depthwise_window(args_); }
    void run_rows(const Tensor* inputs, const Tensor* outputs, std::int64_t first, std::int64_t last,
                  std::byte* scratch) const override {
        entry_.run(depthwise_rows(args_, first, last), depthwise_views(inputs[0], outputs[0], Tensor{}),
                   Workers{1, nullptr, nullptr}, scratch);
    }

private:
    // One output channel's column in the lines.
    void pack_channel(const StepDesc& desc, std::int64_t oc, float* to) const {
        const Tensor w = as_image(desc.inputs[kAt.w]);
        const std::int64_t zero = byte_at(desc.inputs[kAt.w_zero], oc), x_zero = byte_at(desc.inputs[kAt.x_zero], 0);
        std::int64_t bias = has(desc, kAt.bias) ? value_at<std::int32_t>(desc.inputs[kAt.bias], oc) : 0, size = 0;
        for (std::int64_t tap = 0; tap < args_.kh * args_.kw; ++tap) {
            Tensor one = w;
            one.rank = 0;
            const std::int64_t at = oc * w.stride[0] + tap / args_.kw * w.stride[2] + tap % args_.kw * w.stride[3];
            one.data = static_cast<std::byte*>(w.data) + at;
            const std::int64_t weight = byte_at(one, 0) - zero;
            to[(1 + tap) * args_.padded_c] = static_cast<float>(weight);
            bias -= x_zero * weight;
            size += 255 * std::abs(weight);
        }
        require(std::abs(bias) + size <= kExact, where(desc) +
                                                     "sums must stay below 2^24, which fp32 counts; use an "
                                                     "integer row");
        to[0] = static_cast<float>(bias);
        const double scale = value_at<float>(desc.inputs[kAt.x_scale], 0);
        to[(1 + args_.kh * args_.kw) * args_.padded_c] = finite_ratio(
            scale * value_at<float>(desc.inputs[kAt.w_scale], oc) / value_at<float>(desc.inputs[kAt.y_scale], 0));
    }

    const DepthwiseEntry& entry_;
    DepthwiseArgs args_;
    int threads_;
    AlignedBuffer packed_;
};

}  // namespace

std::unique_ptr<Step> make_depthwise_bytes(const StepDesc& desc, const DepthwiseEntry& entry, bool dry) {
    require_counts(desc, 8, 9);
    StepDesc plain = desc;  // as a convolution of x's dtype
    plain.inputs = {desc.inputs[kAt.x], desc.inputs[kAt.w]};
    plain.constant = {false, desc.constant[kAt.w]};
    plain.inputs[1].dtype = entry.row.a;
    require_dtype(desc, desc.outputs[0], entry.row.a, "y");
    const DepthwiseOperands at = depthwise_operands(plain, entry.row);
    check_depthwise(plain, at, entry.row);
    require_integer_operands(desc, kAt, entry.row.a, at.w.shape[0]);
    for (std::size_t input = 1; input < desc.inputs.size(); ++input) {
        require(!present(desc, input) || desc.constant[input],
                where(desc) + "all but x must be constants; use an integer row");
    }
    DepthwiseArgs args = depthwise_arguments(plain, at);
    const std::int64_t least = is_signed_byte(desc.outputs[0]) ? -128 : 0, most = least + 255;
    args.low = static_cast<std::int32_t>(std::clamp(desc.attributes.integer("low", least), least, most));
    args.high = static_cast<std::int32_t>(std::clamp(desc.attributes.integer("high", most), least, most));
    auto step = std::make_unique<DepthwiseBytesStep>(entry, args, desc.threads);
    if (!dry) step->pack(desc);
    return step;
}

}  // namespace thew
