// The trunk's rows of fp16.
#include "kernels/matmul/half_tiles.hpp"

namespace thew {
namespace {

constexpr MatmulEntry kEntries[] = {
    trunk_entry<Fp16Tiles>("matmul", "packed", DType::fp16, kFp16Sum),
};

}  // namespace

namespace THEW_ISA {
extern const Table<MatmulEntry> matmul_fp16;
const Table<MatmulEntry> matmul_fp16{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
