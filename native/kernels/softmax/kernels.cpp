// The softmax table of one ISA.
#include "kernels/softmax/strided.hpp"

namespace thew {
namespace {

template <class S>
std::int64_t scratch_bytes(const SoftmaxArgs& args) {
    using T = Wide<S>;
    return runs_across<T>(args) ? 0 : padded_length<T>(args.length) * static_cast<std::int64_t>(sizeof(T));
}

template <class T>
void run(const SoftmaxArgs& args, const void* from, void* to, const Workers& workers, std::byte* scratch) {
    const T* x = static_cast<const T*>(from);
    T* y = static_cast<T*>(to);
    (args.logarithm ? run_softmax<T, true> : run_softmax<T, false>)(args, x, y, workers, scratch);
}

template <class T>
constexpr SoftmaxEntry entry(DType type, DType sum) {
    return {{"softmax", "strided", type, type, sum, 0, 0, 0, kIsa}, run<T>, scratch_bytes<T>};
}

const SoftmaxEntry kEntries[] = {entry<float>(DType::fp32, DType::fp32), entry<double>(DType::fp64, DType::fp64),
                                 entry<Fp16>(DType::fp16, DType::fp32), entry<Bf16>(DType::bf16, DType::fp32)};

}  // namespace

namespace THEW_ISA {
extern const Table<SoftmaxEntry> softmax_table;
const Table<SoftmaxEntry> softmax_table{kEntries, 4};
}  // namespace THEW_ISA

}  // namespace thew
