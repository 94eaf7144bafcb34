// Elementwise kernels of fp16 and bf16: those of fp32, a block of a row at a time between buffers in the first-level
// cache. Nothing is computed twice in the binary, and memory moves at half the bytes.
#pragma once

#include "kernels/elementwise.hpp"
#include "simd/half.hpp"

namespace thew {
namespace {

inline constexpr std::int64_t kHalfBlock = 256;  // columns

template <class Half>
__attribute__((noinline)) void widen_run(const Half* from, float* to, std::int64_t count) {
    std::int64_t i = 0;
    for (; i + kLanes<float> <= count; i += kLanes<float>) store(to + i, load_widened(from + i));
    if (i < count)
        store(to + i, load_widened_partial(from + i, static_cast<int>(count - i)));  // `to` holds whole vectors
}

template <class Half>
__attribute__((noinline)) void narrow_run(const float* from, Half* to, std::int64_t count) {
    std::int64_t i = 0;
    for (; i + kLanes<float> <= count; i += kLanes<float>) store_narrowed(to + i, load(from + i));
    if (i < count) store_narrowed_partial(to + i, load(from + i), static_cast<int>(count - i));
}

// `kernel` takes N inputs; its results are fp32, or (a comparison's) bytes.
template <class Half, int N, bool kGivesBytes>
__attribute__((noinline)) void run_in_fp32(const Leaf& leaf, const void* parameters, LeafKernel kernel) {
    alignas(kVectorBytes) float inputs[N][kHalfBlock], results[kHalfBlock];
    Leaf block{};
    block.rows = 1;
    for (int n = 0; n < N; ++n) {
        block.data[n + 1] = reinterpret_cast<std::byte*>(inputs[n]);
        block.step[n + 1] = leaf.step[n + 1];
    }
    block.step[0] = 1;
    for (std::int64_t row = 0; row < leaf.rows; ++row) {
        std::byte* out = leaf.data[0] + row * leaf.row_bytes[0];
        for (std::int64_t column = 0; column < leaf.cols; column += kHalfBlock) {
            block.cols = leaf.cols - column < kHalfBlock ? leaf.cols - column : kHalfBlock;
            for (int n = 0; n < N; ++n) {
                const auto* from = reinterpret_cast<const Half*>(leaf.data[n + 1] + row * leaf.row_bytes[n + 1]);
                const bool varies = leaf.step[n + 1] != 0;
                widen_run(varies ? from + column : from, inputs[n], varies ? block.cols : 1);
            }
            if constexpr (kGivesBytes) {
                block.data[0] = out + column;
                kernel(block, parameters);
            } else {
                block.data[0] = reinterpret_cast<std::byte*>(results);
                kernel(block, parameters);
                narrow_run(results, reinterpret_cast<Half*>(out) + column, block.cols);
            }
        }
    }
}

constexpr bool same_text(const char* a, const char* b) {
    for (; *a && *a == *b; ++a, ++b) {
    }
    return *a == *b;
}

constexpr bool is_comparison(const char* op) {
    return same_text(op, "equal") || same_text(op, "greater") || same_text(op, "less") ||
           same_text(op, "greater_or_equal") || same_text(op, "less_or_equal");
}

// Kernel I of `Ops` (of fp32, N inputs each) on Half.
template <class Half, class Ops, int N, int I>
void in_fp32(const Leaf& leaf, const void* parameters) {
    run_in_fp32<Half, N, is_comparison(Ops::kernels[I].op)>(leaf, parameters, Ops::kernels[I].run);
}

// All of them.
template <class Half, class Ops, int N>
struct HalfOps {
    static constexpr int kCount = sizeof(Ops::kernels) / sizeof(OpKernel);
    OpKernel kernels[kCount];

    constexpr HalfOps() : kernels() { fill(std::make_integer_sequence<int, kCount>{}); }

private:
    template <int... I>
    constexpr void fill(std::integer_sequence<int, I...>) {
        ((kernels[I] = OpKernel{Ops::kernels[I].op, in_fp32<Half, Ops, N, I>}), ...);
    }
};

template <class Half, class Ops, int N>
inline constexpr HalfOps<Half, Ops, N> kHalfOps{};

template <class Half, class Ops, int N>
constexpr OpEntry half_entry(const char* family, DType dtype) {
    return {{family, "strided", dtype, dtype, dtype, 0, 0, 0, kIsa},
            kHalfOps<Half, Ops, N>.kernels,
            HalfOps<Half, Ops, N>::kCount};
}

}  // namespace
}  // namespace thew
