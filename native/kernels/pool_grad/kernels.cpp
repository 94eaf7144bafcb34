// The pooling gradients of one ISA.
#include "kernels/pool_grad/pairs.hpp"

namespace thew {
namespace {

template <class T>
void run(const PoolGradArgs& args, const void* x, const void* dy, void* dx, const Workers& workers) {
    auto kernel = run_windows<T>;
    if constexpr (!kIsHalf<T>) kernel = is_paired(args) ? run_pairs<T> : run_windows<T>;
    kernel(args, static_cast<const T*>(x), static_cast<const T*>(dy), static_cast<T*>(dx), workers);
}

template <class T>
constexpr PoolGradEntry entry(DType type) {
    return {{"pool_grad", "direct", type, type, type, 0, 0, 0, kIsa}, run<T>};
}

const PoolGradEntry kEntries[] = {entry<float>(DType::fp32), entry<double>(DType::fp64), entry<Fp16>(DType::fp16),
                                  entry<Bf16>(DType::bf16)};

}  // namespace

namespace THEW_ISA {
extern const Table<PoolGradEntry> pool_grad_table;
const Table<PoolGradEntry> pool_grad_table{kEntries, 4};
}  // namespace THEW_ISA

}  // namespace thew
