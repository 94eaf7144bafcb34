// Quantisation of rows, as plain loops that the compiler vectorises: it widens and narrows whole registers of the small
// type, which conversions written vector by vector do not. Operands: (out, x, scale, zero_point).
#pragma once

#include "kernels/quant/contract.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

template <class Q>
struct Quantize {
    using In = float;
    using Out = Q;
    using Zero = Q;
    static THEW_INLINE Q apply(float x, float scale, Q zero) {
        constexpr float low = static_cast<float>(Q(-1) < Q(0) ? -(1 << (8 * sizeof(Q) - 1)) : 0);
        constexpr float high = low + static_cast<float>((1 << (8 * sizeof(Q))) - 1);
        float value = __builtin_rintf(x / scale) + static_cast<float>(zero);
        value = value > low ? value : low;  // NaN too
        value = value < high ? value : high;
        return static_cast<Q>(static_cast<std::int32_t>(value));
    }
};

template <class Q>
struct Dequantize {
    using In = Q;
    using Out = float;
    using Zero = Q;
    static THEW_INLINE float apply(Q x, float scale, Q zero) {
        // Unsigned, so that int32 wraps.
        const auto centred = static_cast<std::uint32_t>(x) - static_cast<std::uint32_t>(zero);
        return static_cast<float>(static_cast<std::int32_t>(centred)) * scale;
    }
};

inline constexpr std::int64_t kStaged = 1024;  // columns handled at once

// A row with scale and zero point each one for all, or one a column.
template <class Op, bool ScaleVaries, bool ZeroVaries>
void quant_row(typename Op::Out* __restrict out, const typename Op::In* __restrict x, const float* __restrict scale,
               const typename Op::Zero* __restrict zero, std::int64_t cols) {
    const float one_scale = *scale;
    const typename Op::Zero one_zero = *zero;
    for (std::int64_t i = 0; i < cols; ++i) {
        out[i] = Op::apply(x[i], ScaleVaries ? scale[i] : one_scale, ZeroVaries ? zero[i] : one_zero);
    }
}

template <class Op>
void quant_rows(const Leaf& leaf, const void*) {
    using In = typename Op::In;
    using Zero = typename Op::Zero;
    for (std::int64_t row = 0; row < leaf.rows; ++row) {
        const auto at = [&](int operand) THEW_FLAT { return leaf.data[operand] + row * leaf.row_bytes[operand]; };
        auto* out = reinterpret_cast<typename Op::Out*>(at(0));
        const auto* x = reinterpret_cast<const In*>(at(1));
        const auto* scale = reinterpret_cast<const float*>(at(2));
        const auto* zero = reinterpret_cast<const Zero*>(at(3));
        In repeated[kStaged];
        for (std::int64_t first = 0; first < leaf.cols; first += kStaged) {
            const std::int64_t left = leaf.cols - first, cols = left < kStaged ? left : kStaged;
            const In* from = x + first * leaf.step[1];
            if (leaf.step[1] == 0) {
                for (std::int64_t i = 0; i < cols; ++i) repeated[i] = *x;
                from = repeated;
            }
            const float* scales = scale + first * leaf.step[2];
            const Zero* zeros = zero + first * leaf.step[3];
            if (leaf.step[2] == 0 && leaf.step[3] == 0) {
                quant_row<Op, false, false>(out + first, from, scales, zeros, cols);
            } else if (leaf.step[3] == 0) {
                quant_row<Op, true, false>(out + first, from, scales, zeros, cols);
            } else if (leaf.step[2] == 0) {
                quant_row<Op, false, true>(out + first, from, scales, zeros, cols);
            } else {
                quant_row<Op, true, true>(out + first, from, scales, zeros, cols);
            }
        }
    }
}

}  // namespace
}  // namespace thew
