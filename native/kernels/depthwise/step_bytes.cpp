// qlinear_conv where every group has one channel, or a few: weights less their zero points become floats that are whole
// numbers, or bytes side by side in 32 bits; and the bias takes in what x's zero point adds.
#include "kernels/depthwise/layout.hpp"
#include "kernels/integer/operands.hpp"

namespace thew {
namespace {

constexpr std::int64_t kExact = 1 << 24;  // whole numbers up to here are exact in fp32
constexpr const IntegerPlaces& kAt = kQlinearPlaces;
#if defined(__aarch64__)
constexpr bool kFactorsAreSigned = true;
#else
constexpr bool kFactorsAreSigned = false;
#endif

class DepthwiseBytesStep final : public Step {
public:
    DepthwiseBytesStep(const DepthwiseEntry& entry, const DepthwiseArgs& args, int threads)
        : entry_(entry), args_(args), threads_(threads) {}

    std::size_t scratch_bytes() const override {
        return static_cast<std::size_t>(entry_.scratch_bytes(args_)) * static_cast<std::size_t>(threads_);
    }
    std::size_t packed_bytes() const override {
        const std::int64_t lanes = entry_.row.nr;
        const std::int64_t words = lanes == 0 ? depthwise_lines(args_) * args_.padded_c
                                              : group_blocks() * (group_lines() + 1) * lanes + args_.padded_c;
        return checked_bytes(static_cast<std::size_t>(words), sizeof(float));
    }
    bool packs(std::size_t input) const override { return input > 0; }

    void pack(const StepDesc& desc) {
        packed_ = AlignedBuffer(packed_bytes());
        auto* lines = packed_.as<float>();
        std::memset(lines, 0, packed_bytes());
        float* around = entry_.row.nr == 0 ? pack_channels(desc, lines) : pack_groups(desc, lines);
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
    std::int64_t group_blocks() const { return (args_.c + entry_.row.nr - 1) / entry_.row.nr; }
    std::int64_t group_lines() const { return 1 + args_.width / entry_.row.kr * args_.kh * args_.kw; }

    // The weight of an output channel, an input of its group and a tap, less its zero point.
    static std::int64_t weight_at(const StepDesc& desc, std::int64_t oc, std::int64_t input, std::int64_t tap) {
        Tensor w = as_image(desc.inputs[kAt.w]);
        const std::int64_t kw = w.shape[3], zero = byte_at(desc.inputs[kAt.w_zero], oc);
        w.rank = 0;
        w.data = static_cast<std::byte*>(w.data) + oc * w.stride[0] + input * w.stride[1] + tap / kw * w.stride[2] +
                 tap % kw * w.stride[3];
        return byte_at(w, 0) - zero;
    }
    static std::int64_t bias_at(const StepDesc& desc, std::int64_t oc) {
        return has(desc, kAt.bias) ? value_at<std::int32_t>(desc.inputs[kAt.bias], oc) : 0;
    }
    static float multiplier_at(const StepDesc& desc, std::int64_t oc) {
        const double scale = value_at<float>(desc.inputs[kAt.x_scale], 0);
        return finite_ratio(scale * value_at<float>(desc.inputs[kAt.w_scale], oc) /
                            value_at<float>(desc.inputs[kAt.y_scale], 0));
    }

    // Writes the lines of all multipliers; gives what is behind them.
    float* pack_channels(const StepDesc& desc, float* lines) const {
        const std::int64_t size = (args_.kh * args_.kw + 2) * args_.padded_c;
        for (std::int64_t j = 0; j < args_.multiplier; ++j) {
            for (std::int64_t i = 0; i < args_.c; ++i) {
                pack_channel(desc, i * args_.multiplier + j, lines + j * size + i);
            }
        }
        return lines + args_.multiplier * size;
    }

    // One output channel's column in the lines.
    void pack_channel(const StepDesc& desc, std::int64_t oc, float* to) const {
        const std::int64_t x_zero = byte_at(desc.inputs[kAt.x_zero], 0);
        std::int64_t bias = bias_at(desc, oc), size = 0;
        for (std::int64_t tap = 0; tap < args_.kh * args_.kw; ++tap) {
            const std::int64_t weight = weight_at(desc, oc, 0, tap);
            to[(1 + tap) * args_.padded_c] = static_cast<float>(weight);
            bias -= x_zero * weight;
            size += 255 * std::abs(weight);
        }
        require(std::abs(bias) + size <= kExact, where(desc) +
                                                     "sums must stay below 2^24, which fp32 counts; use an "
                                                     "integer row");
        to[0] = static_cast<float>(bias);
        to[(1 + args_.kh * args_.kw) * args_.padded_c] = multiplier_at(desc, oc);
    }

    // Writes the vectors of narrow groups; gives what is behind them.
    float* pack_groups(const StepDesc& desc, float* to) const {
        const std::int64_t lanes = entry_.row.nr, size = (group_lines() + 1) * lanes;
        for (std::int64_t block = 0; block < group_blocks(); ++block, to += size) {
            const std::int64_t first = group_block_first(args_.c, lanes, block);
            for (std::int64_t k = 0; k < lanes && first + k < args_.c; ++k) {
                pack_lane(desc, first + k, reinterpret_cast<std::byte*>(to + k));
            }
        }
        return to;
    }

    // One output channel's column in a vector's lines. Kernels take x's bytes as factors of the sign that the ISA
    // multiplies: unsigned on x86, signed on Arm.
    void pack_lane(const StepDesc& desc, std::int64_t oc, std::byte* to) const {
        constexpr std::int64_t kFactor = kFactorsAreSigned ? -128 : 0;  // the least factor
        const std::int64_t least = is_signed_byte(desc.inputs[kAt.x]) ? -128 : 0;
        const std::int64_t x_zero = byte_at(desc.inputs[kAt.x_zero], 0) - least + kFactor;
        const std::int64_t taps = args_.kh * args_.kw, quad = entry_.row.kr, line = entry_.row.nr * 4;
        std::int64_t bias = bias_at(desc, oc);
        for (std::int64_t input = 0; input < args_.width; ++input) {
            for (std::int64_t tap = 0; tap < taps; ++tap) {
                const std::int64_t weight = weight_at(desc, oc, input, tap);
                require(weight >= -128 && weight <= 127, where(desc) +
                                                             "weights less their zero points must be signed bytes; use "
                                                             "an integer row");
                to[(1 + input / quad * taps + tap) * line + input % quad] = static_cast<std::byte>(weight & 0xff);
                bias -= x_zero * weight;
            }
        }
        const auto start = static_cast<std::int32_t>(static_cast<std::uint32_t>(bias));
        const float multiplier = multiplier_at(desc, oc);
        std::memcpy(to, &start, sizeof start);
        std::memcpy(to + group_lines() * line, &multiplier, sizeof multiplier);
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
    require(entry.row.nr == 0 || at.w.shape[1] % entry.row.kr == 0,
            where(desc) + "groups must have a multiple of " + std::to_string(entry.row.kr) + " channels, got " +
                std::to_string(at.w.shape[1]) + "; use an integer row");
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
