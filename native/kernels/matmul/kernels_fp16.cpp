// The trunk's rows of fp16: multiplied as it is where the ISA does, else widened to fp32.
#include "kernels/matmul/half_tiles.hpp"

namespace thew {
namespace {

#if defined(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC) || defined(__AVX512FP16__)
using Numbers = HalfProducts;
constexpr DType kSum = DType::fp16;
#else
using Numbers = Widened<Fp16>;
constexpr DType kSum = DType::fp32;
#endif

constexpr MatmulEntry kEntries[] = {
    trunk_entry<HalfTilesOf<Numbers>>("matmul", "packed", DType::fp16, kSum),
};

}  // namespace

namespace THEW_ISA {
extern const Table<MatmulEntry> matmul_fp16;
const Table<MatmulEntry> matmul_fp16{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
