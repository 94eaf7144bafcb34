// Rows of dy added to the rows of dx that they came from. Workers share out columns, so that no two meet in a sum.
#include "kernels/gather_grad/contract.hpp"
#include "simd/vec.hpp"

namespace thew {
namespace {

constexpr std::int64_t kVectors = 8;  // of columns that a task takes, at least

// Columns [first, last) of one outer position.
template <class T>
void add_rows(const GatherGradArgs& args, const T* dy, T* dx, std::int64_t first, std::int64_t last) {
    constexpr std::int64_t L = kLanes<T>;
    for (std::int64_t r = 0; r < args.extent; ++r) {
        T* to = dx + r * args.inner;
        std::int64_t i = first;
        for (; i + L <= last; i += L) store(to + i, Vec<T>{});
        for (; i < last; ++i) to[i] = T{0};
    }
    for (std::int64_t j = 0; j < args.count; ++j, dy += args.inner) {
        T* to = dx + args.index[j] * args.inner;
        std::int64_t i = first;
        for (; i + L <= last; i += L) store(to + i, load(to + i) + load(dy + i));
        for (; i < last; ++i) to[i] += dy[i];
    }
}

template <class T>
void run(const GatherGradArgs& args, const void* dy, void* dx, const Workers& workers) {
    const std::int64_t wanted = workers.count == 1 ? 1 : 4 * workers.count, unit = kVectors * kLanes<T>;
    const std::int64_t parts = args.outer >= wanted ? 1 : (wanted + args.outer - 1) / args.outer;
    const std::int64_t most = (args.inner + unit - 1) / unit, pieces = parts < most ? parts : most > 0 ? most : 1;
    const std::int64_t width = (args.inner + pieces * unit - 1) / (pieces * unit) * unit;
    auto body = [&](std::int64_t task, int) {
        const std::int64_t outer = task / pieces, first = task % pieces * width;
        const std::int64_t last = first + width < args.inner ? first + width : args.inner;
        add_rows(args, static_cast<const T*>(dy) + outer * args.count * args.inner,
                 static_cast<T*>(dx) + outer * args.extent * args.inner, first, last);
    };
    parallel_for(workers, args.outer * pieces, body);
}

template <class T>
constexpr GatherGradEntry entry(DType type) {
    return {{"gather_grad", "rows", type, type, type, 0, 0, 0, kIsa}, run<T>};
}

const GatherGradEntry kEntries[] = {entry<float>(DType::fp32), entry<double>(DType::fp64)};

}  // namespace

namespace THEW_ISA {
extern const Table<GatherGradEntry> gather_grad_table;
const Table<GatherGradEntry> gather_grad_table{kEntries, 2};
}  // namespace THEW_ISA

}  // namespace thew
