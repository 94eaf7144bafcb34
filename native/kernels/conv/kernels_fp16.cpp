// The rows of conv of fp16: multiplied as it is where the ISA does, else widened to fp32.
#include "kernels/conv/entry.hpp"
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

constexpr ConvEntry kEntries[] = {
    implicit_entry<HalfTilesOf<Numbers>>(DType::fp16, kSum),
    pointwise_entry<HalfTilesOf<Numbers>>(DType::fp16, kSum),
};

}  // namespace

namespace THEW_ISA {
extern const Table<ConvEntry> conv_fp16;
const Table<ConvEntry> conv_fp16{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
