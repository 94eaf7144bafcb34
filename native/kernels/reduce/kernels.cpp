// The reductions of one ISA, by element type.
#include "kernels/reduce/arg.hpp"

namespace thew {
namespace {

template <class T>
constexpr bool kIsByte = sizeof(T) == 1;

// What an element type has: bytes only the largest and smallest, fp16 and bf16 sums and means besides (each loop is
// some kilobytes of code), integers nothing that rounds.
template <class S>
bool computes(ReduceOp op) {
    if (op == ReduceOp::max || op == ReduceOp::min) return true;
    if (kIsByte<S>) return false;
    if (kIsHalf<S>) return op == ReduceOp::sum || op == ReduceOp::mean;
    const bool rounds =
        op == ReduceOp::mean || op == ReduceOp::l2 || op == ReduceOp::log_sum || op == ReduceOp::log_sum_exp;
    return kIsReal<Wide<S>> || !rounds;
}

template <class T>
void run_real(const ReduceArgs& args, const T* x, T* y, const Workers& workers) {
    switch (args.op) {
        case ReduceOp::l2: return reduce_all(kLoops<L2Of<T>, T>, args, x, y, workers);
        case ReduceOp::log_sum: return reduce_all(kLoops<LogSumOf<T>, T>, args, x, y, workers);
        case ReduceOp::log_sum_exp:
            reduce_all(kLoops<MaxOf<T>, T>, args, x, y, workers);
            return reduce_all(kLoops<LogSumExpOf<T>, T, true>, args, x, y, workers);
        default: return;
    }
}

// What takes x and y in one type, of more than a byte, that is the one computed in.
template <class T>
void run_wide(const ReduceArgs& args, const T* x, void* to, const Workers& workers) {
    T* y = static_cast<T*>(to);
    switch (args.op) {
        case ReduceOp::prod: return reduce_all(kLoops<ProdOf<T>, T>, args, x, y, workers);
        case ReduceOp::l1: return reduce_all(kLoops<L1Of<T>, T>, args, x, y, workers);
        case ReduceOp::sum_square: return reduce_all(kLoops<SumSquareOf<T>, T>, args, x, y, workers);
        case ReduceOp::arg_max:
        case ReduceOp::arg_min: return run_arg<T>(args, x, static_cast<std::int64_t*>(to), workers);
        default: break;
    }
    if constexpr (kIsReal<T>) run_real<T>(args, x, y, workers);
}

template <class S>
void run(const ReduceArgs& args, const void* from, void* to, const Workers& workers) {
    using T = Wide<S>;
    const S* x = static_cast<const S*>(from);
    S* y = static_cast<S*>(to);
    if (args.op == ReduceOp::max) return reduce_all(kLoops<MaxOf<T>, S>, args, x, y, workers);
    if (args.op == ReduceOp::min) return reduce_all(kLoops<MinOf<T>, S>, args, x, y, workers);
    if constexpr (!kIsByte<S>) {
        if (args.op == ReduceOp::sum) return reduce_all(kLoops<SumOf<T>, S>, args, x, y, workers);
    }
    if constexpr (kIsReal<T>) {
        if (args.op == ReduceOp::mean) return reduce_all(kLoops<MeanOf<T>, S>, args, x, y, workers);
    }
    if constexpr (!kIsByte<S> && !kIsHalf<S>) run_wide<T>(args, x, to, workers);
}

template <class T>
constexpr ReduceEntry entry(DType type) {
    return {{"reduce", "strided", type, type, type, 0, 0, 0, kIsa}, run<T>, computes<T>};
}

const ReduceEntry kEntries[] = {
    entry<float>(DType::fp32),       entry<double>(DType::fp64),        entry<Fp16>(DType::fp16),
    entry<Bf16>(DType::bf16),        entry<std::int32_t>(DType::int32), entry<std::int64_t>(DType::int64),
    entry<std::int8_t>(DType::int8), entry<std::uint8_t>(DType::uint8),
};

}  // namespace

namespace THEW_ISA {
extern const Table<ReduceEntry> reduce_table;
const Table<ReduceEntry> reduce_table{kEntries, 8};
}  // namespace THEW_ISA

}  // namespace thew
