// The pooling table of one ISA.
#include "kernels/pool/channels.hpp"
#include "kernels/pool/rows.hpp"

namespace thew {
namespace {

template <class T>
inline constexpr bool kAverages = static_cast<Wide<T>>(0.5) != Wide<T>{0};

bool by_channels(const PoolArgs& args) { return args.c == 1 || (args.x_c == 1 && args.y_c == 1); }

template <class T>
std::int64_t scratch_bytes(const PoolArgs& args) {
    return by_channels(args) ? 0 : (args.w * static_cast<std::int64_t>(sizeof(Wide<T>)) + 63) / 64 * 64;
}

template <class Op, class T>
void run_op(const PoolArgs& args, const T* x, T* y, const Workers& workers, std::byte* scratch) {
    if (by_channels(args)) return pool_by_channels<Op, T>(args, x, y, workers);
    pool_by_rows<Op, T>(args, x, y, workers, scratch, scratch_bytes<T>(args));
}

template <class T>
void run(const PoolArgs& args, const void* from, void* to, const Workers& workers, std::byte* scratch) {
    const T* x = static_cast<const T*>(from);
    T* y = static_cast<T*>(to);
    if constexpr (kAverages<T>) {
        if (args.op == PoolOp::average) return run_op<AverageOf, T>(args, x, y, workers, scratch);
    }
    run_op<MaxOf, T>(args, x, y, workers, scratch);
}

template <class T>
constexpr PoolEntry entry(DType type) {
    return {{"pool", "direct", type, type, type, 0, 0, 0, kIsa}, run<T>, scratch_bytes<T>, kAverages<T>};
}

const PoolEntry kEntries[] = {
    entry<float>(DType::fp32), entry<double>(DType::fp64),      entry<Fp16>(DType::fp16),
    entry<Bf16>(DType::bf16),  entry<std::int8_t>(DType::int8), entry<std::uint8_t>(DType::uint8),
};

}  // namespace

namespace THEW_ISA {
extern const Table<PoolEntry> pool_table;
const Table<PoolEntry> pool_table{kEntries, 6};
}  // namespace THEW_ISA

}  // namespace thew
