// The normalisations of one ISA.
#include "kernels/norm/lrn.hpp"
#include "kernels/norm/strided.hpp"

namespace thew {
namespace {

template <class T>
std::int64_t scratch_bytes(const NormArgs& args, int threads) {
    constexpr std::int64_t size = sizeof(T);
    switch (args.op) {
        case NormOp::batch: return 4 * args.length * size;
        case NormOp::layer: return 2 * args.length * size;
        case NormOp::lrn: return lrn_scratch<T>(args) * threads * size;
        case NormOp::group:
            return 2 * args.length * size + (args.length == 0 ? 0 : group_block<T>(args)) * 3 *
                                                static_cast<std::int64_t>(sizeof(double)) * threads;
    }
    return 0;
}

template <class T>
void run(const NormArgs& args, const void* from, void* to, const NormParameters& parameters, const Workers& workers,
         std::byte* scratch) {
    const T* x = static_cast<const T*>(from);
    T *y = static_cast<T*>(to), *buffer = reinterpret_cast<T*>(scratch);
    switch (args.op) {
        case NormOp::batch: return run_batch<T>(args, x, y, parameters, workers, buffer);
        case NormOp::group: return run_group<T>(args, x, y, parameters, workers, buffer);
        case NormOp::layer: return run_layer<T>(args, x, y, parameters, workers, buffer);
        case NormOp::lrn: return run_lrn<T>(args, x, y, workers, buffer);
    }
}

template <class T>
constexpr NormEntry entry(DType type) {
    return {{"norm", "strided", type, type, type, 0, 0, 0, kIsa}, run<T>, scratch_bytes<T>};
}

const NormEntry kEntries[] = {entry<float>(DType::fp32), entry<double>(DType::fp64)};

}  // namespace

namespace THEW_ISA {
extern const Table<NormEntry> norm_table;
const Table<NormEntry> norm_table{kEntries, 2};
}  // namespace THEW_ISA

}  // namespace thew
