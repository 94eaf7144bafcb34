// Sums of squares of one ISA. Halves are widened a block at a time, and summed as floats are.
#include "kernels/scaling/contract.hpp"
#include "simd/convert.hpp"
#include "simd/half.hpp"
#include "simd/unroll.hpp"

namespace thew {
namespace {

constexpr int kWide = kLanes<double>, kSums = 4;

template <class T>
THEW_INLINE Vec<double> wide(const T* from) {
    return (Vec<double>)load_as<double, kWide>(from);
}

THEW_INLINE Vec<double> bounded_square(Vec<double> value, double bound) {  // a NaN stays
    const Vec<double> square = value * value;
    return square > bound ? splat(__builtin_inf()) : square;
}

// Adds to the sums of lanes; a tail goes through a buffer padded with zeros. `kExact`: each value is scaled and bounded
// before it is added; else squares of floats, which fp64 holds, are added as they are.
template <bool kExact, class T>
void add_squares(const T* from, std::int64_t count, double inverse, double bound, Vec<double> (&sums)[kSums]) {
    auto add = [&](const T* at, int k) THEW_FLAT {
        if constexpr (kExact) {
            sums[k] = bounded_square(wide(at) * inverse, bound) + sums[k];
        } else {
            const Vec<double> value = wide(at);
            sums[k] = value * value + sums[k];
        }
    };
    std::int64_t i = 0;
    for (; i + kSums * kWide <= count; i += kSums * kWide) {
        unroll<kSums>([&](auto k) THEW_FLAT { add(from + i + k * kWide, k); });
    }
    T rest[kSums * kWide] = {};
    for (std::int64_t k = 0; i + k < count; ++k) rest[k] = from[i + k];
    unroll<kSums>([&](auto k) THEW_FLAT { add(rest + k * kWide, k); });
}

template <bool kExact, class Half>
void add_half_squares(const Half* from, std::int64_t count, double inverse, double bound, Vec<double> (&sums)[kSums]) {
    constexpr int lanes = kLanes<float>, block = kSums * kWide;
    static_assert(block % lanes == 0);
    for (std::int64_t i = 0; i < count; i += block) {
        float floats[block] = {};
        for (int k = 0; k < block && i + k < count; k += lanes) {
            const std::int64_t left = count - i - k;
            const Half* at = from + i + k;
            store(floats + k, left >= lanes ? load_widened(at) : load_widened_partial(at, static_cast<int>(left)));
        }
        add_squares<kExact>(floats, block, inverse, bound, sums);
    }
}

template <bool kExact>
double sum_of(const void* gradient, DType dtype, std::int64_t count, double inverse, double bound) {
    Vec<double> sums[kSums] = {};
    switch (dtype) {
        case DType::fp64: add_squares<true>(static_cast<const double*>(gradient), count, inverse, bound, sums); break;
        case DType::fp32: add_squares<kExact>(static_cast<const float*>(gradient), count, inverse, bound, sums); break;
        case DType::bf16:
            add_half_squares<kExact>(static_cast<const Bf16*>(gradient), count, inverse, bound, sums);
            break;
        default: add_half_squares<kExact>(static_cast<const Fp16*>(gradient), count, inverse, bound, sums); break;
    }
    const Vec<double> all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    double sum = all[0];
    for (int lane = 1; lane < kWide; ++lane) sum += all[lane];
    return kExact || dtype == DType::fp64 ? sum : sum * inverse * inverse;
}

// A sum within the bound has no square beyond it; the others, NaN among them, are added again one by one.
double squares(const void* gradient, DType dtype, std::int64_t count, double scale, double bound) {
    const double inverse = 1 / scale, sum = sum_of<false>(gradient, dtype, count, inverse, bound);
    return sum <= bound ? sum : sum_of<true>(gradient, dtype, count, inverse, bound);
}

constexpr ScalingEntry kEntries[] = {
    {{"scaling", "strided", DType::fp64, DType::fp64, DType::fp64, 0, 0, 0, kIsa}, squares},
};

}  // namespace

namespace THEW_ISA {
extern const Table<ScalingEntry> scaling_table;
const Table<ScalingEntry> scaling_table{kEntries, 1};
}  // namespace THEW_ISA

}  // namespace thew
