// The products with packed weights of one ISA.
#include "kernels/gemv/blocks.hpp"
#include "kernels/gemv/structured.hpp"
#include "kernels/gemv/widened.hpp"

namespace thew {
namespace {

constexpr PackedGemvEntry kEntries[] = {
    packed_entry<Widened>("widened", DType::int8),
    packed_entry<Blocks>("blocks", DType::fp32),
#if defined(THEW_HAS_STRUCTURED)
    packed_entry<Structured>("structured", DType::fp32),
#endif
};

}  // namespace

namespace THEW_ISA {
extern const Table<PackedGemvEntry> gemv_packed;
const Table<PackedGemvEntry> gemv_packed{kEntries, sizeof(kEntries) / sizeof(kEntries[0])};
}  // namespace THEW_ISA

}  // namespace thew
