// The softmax table of one ISA.
#include "kernels/softmax/strided.hpp"

namespace thew {
namespace {

template <class T>
std::int64_t scratch_bytes(const SoftmaxArgs& args) {
    return runs_across<T>(args) ? 0 : padded_length<T>(args.length) * static_cast<std::int64_t>(sizeof(T));
}

template <class T>
void run(const SoftmaxArgs& args, const void* from, void* to, const Workers& workers, std::byte* scratch) {
    const T* x = static_cast<const T*>(from);
    T* y = static_cast<T*>(to);
    (args.logarithm ? run_softmax<T, true> : run_softmax<T, false>)(args, x, y, workers, scratch);
}

template <class T>
constexpr SoftmaxEntry entry(DType type) {
    return {{"softmax", "strided", type, type, type, 0, 0, 0, kIsa}, run<T>, scratch_bytes<T>};
}

const SoftmaxEntry kEntries[] = {entry<float>(DType::fp32), entry<double>(DType::fp64)};

}  // namespace

namespace THEW_ISA {
extern const Table<SoftmaxEntry> softmax_table;
const Table<SoftmaxEntry> softmax_table{kEntries, 2};
}  // namespace THEW_ISA

}  // namespace thew
