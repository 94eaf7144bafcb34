// The trunk's rows of bf16.
#include "kernels/matmul/half_tiles.hpp"

namespace thew {
namespace {

constexpr MatmulEntry kEntries[] = {
    trunk_entry<Bf16Tiles>("matmul", "packed", DType::bf16, DType::fp32),
};

}  // namespace

namespace THEW_ISA {
extern const Table<MatmulEntry> matmul_bf16;
const Table<MatmulEntry> matmul_bf16{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
