// The products of few rows of one ISA. A task is a block of columns, or where these are few a block of rows.
#include "kernels/gemv/columns.hpp"
#include "kernels/gemv/rows.hpp"
#include "simd/activation.hpp"

namespace thew {
namespace {

template <class T>
void finish(const Gemv& gemv, const T* bias, T* y, std::int64_t first, std::int64_t last) {
    const T p0 = static_cast<T>(gemv.epilogue.p0), p1 = static_cast<T>(gemv.epilogue.p1);
    for (std::int64_t m = 0; m < gemv.m; ++m) {
        for (std::int64_t n = first; n < last; n += kLanes<T>) {
            T* at = y + m * gemv.y_m + n;
            const int some = static_cast<int>(last - n < kLanes<T> ? last - n : kLanes<T>);
            Vec<T> value = load_partial(at, some);
            if (bias && gemv.bias_stride == 1) {
                value = value + load_partial(bias + n, some);
            } else if (bias) {
                T added[kLanes<T>] = {};
                for (int i = 0; i < some; ++i) added[i] = bias[(n + i) * gemv.bias_stride];
                value = value + load(added);
            }
            store_partial(at, activate<T>(gemv.epilogue.activation, value, p0, p1), some);
        }
    }
}

template <class T>
void run(const Gemv& gemv, const void* a, const void* b, const void* bias, void* y, const Workers& workers) {
    constexpr std::int64_t kColumns = 16 * kLanes<T>, kRows = 32;
    const bool by_rows = gemv.b_n == 1;
    const std::int64_t columns = (gemv.n + kColumns - 1) / kColumns, rows = (gemv.m + kRows - 1) / kRows;
    auto body = [&](std::int64_t task, int) {
        const std::int64_t m = task / columns * kRows, first = task % columns * kColumns;
        const std::int64_t last = first + kColumns < gemv.n ? first + kColumns : gemv.n;
        Gemv part = gemv;
        part.m = gemv.m - m < kRows ? gemv.m - m : kRows;
        const T* left = static_cast<const T*>(a) + m * gemv.a_m;
        T* to = static_cast<T*>(y) + m * gemv.y_m;
        const auto multiply = by_rows ? multiply_rows<T> : multiply_columns<T>;
        multiply(part, left, static_cast<const T*>(b), to, first, last);
        if (!bias && gemv.epilogue.activation == Activation::none) return;
        finish(part, static_cast<const T*>(bias), to, first, last);
    };
    parallel_for(workers, columns * rows, body);
}

constexpr GemvEntry kEntries[] = {
    {{"gemv", "direct", DType::fp32, DType::fp32, DType::fp32, 0, 0, 0, kIsa}, run<float>},
    {{"gemv", "direct", DType::fp64, DType::fp64, DType::fp64, 0, 0, 0, kIsa}, run<double>},
};

}  // namespace

namespace THEW_ISA {
extern const Table<GemvEntry> gemv_table;
const Table<GemvEntry> gemv_table{kEntries, 2};
}  // namespace THEW_ISA

}  // namespace thew
