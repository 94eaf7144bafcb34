// The normalisations of one ISA.
#include "kernels/norm/lrn.hpp"
#include "kernels/norm/strided.hpp"

namespace thew {
namespace {

template <class S>
std::int64_t scratch_bytes(const NormArgs& args, int threads) {
    using T = Wide<S>;
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

template <class S>
void run(const NormArgs& args, const void* from, void* to, const NormParameters& parameters, const Workers& workers,
         std::byte* scratch) {
    const S* x = static_cast<const S*>(from);
    S* y = static_cast<S*>(to);
    auto* buffer = reinterpret_cast<Wide<S>*>(scratch);
    switch (args.op) {
        case NormOp::batch: return run_batch<S>(args, x, y, parameters, workers, buffer);
        case NormOp::group: return run_group<S>(args, x, y, parameters, workers, buffer);
        case NormOp::layer: return run_layer<S>(args, x, y, parameters, workers, buffer);
        case NormOp::lrn: return run_lrn<S>(args, x, y, workers, buffer);
    }
}

template <class S>
constexpr NormEntry entry(DType type, DType sum) {
    return {{"norm", "strided", type, type, sum, 0, 0, 0, kIsa}, run<S>, scratch_bytes<S>};
}

const NormEntry kEntries[] = {entry<float>(DType::fp32, DType::fp32), entry<double>(DType::fp64, DType::fp64),
                              entry<Fp16>(DType::fp16, DType::fp32), entry<Bf16>(DType::bf16, DType::fp32)};

}  // namespace

namespace THEW_ISA {
extern const Table<NormEntry> norm_table;
const Table<NormEntry> norm_table{kEntries, 4};
}  // namespace THEW_ISA

}  // namespace thew
