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

// Adds to the sums of lanes; a tail goes through a buffer padded with zeros.
template <class T>
void add_squares(const T* from, std::int64_t count, double inverse, double bound, Vec<double> (&sums)[kSums]) {
    auto add = [&](const T* at, int k) THEW_FLAT { sums[k] = bounded_square(wide(at) * inverse, bound) + sums[k]; };
    std::int64_t i = 0;
    for (; i + kSums * kWide <= count; i += kSums * kWide) {
        unroll<kSums>([&](auto k) THEW_FLAT { add(from + i + k * kWide, k); });
    }
    T rest[kSums * kWide] = {};
    for (std::int64_t k = 0; i + k < count; ++k) rest[k] = from[i + k];
    unroll<kSums>([&](auto k) THEW_FLAT { add(rest + k * kWide, k); });
}

template <class Half>
void add_half_squares(const Half* from, std::int64_t count, double inverse, double bound, Vec<double> (&sums)[kSums]) {
    constexpr int lanes = kLanes<float>;
    for (std::int64_t i = 0; i < count; i += lanes) {
        const std::int64_t left = count - i;
        float floats[lanes];
        store(floats, left >= lanes ? load_widened(from + i) : load_widened_partial(from + i, static_cast<int>(left)));
        for (int k = 0; k < lanes; k += kWide) {
            sums[0] = bounded_square(wide(floats + k) * inverse, bound) + sums[0];
        }
    }
}

double squares(const void* gradient, DType dtype, std::int64_t count, double scale, double bound) {
    Vec<double> sums[kSums] = {};
    const double inverse = 1 / scale;
    switch (dtype) {
        case DType::fp64: add_squares(static_cast<const double*>(gradient), count, inverse, bound, sums); break;
        case DType::fp32: add_squares(static_cast<const float*>(gradient), count, inverse, bound, sums); break;
        case DType::bf16: add_half_squares(static_cast<const Bf16*>(gradient), count, inverse, bound, sums); break;
        default: add_half_squares(static_cast<const Fp16*>(gradient), count, inverse, bound, sums); break;
    }
    const Vec<double> all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    double sum = all[0];
    for (int lane = 1; lane < kWide; ++lane) sum += all[lane];
    return sum;
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
