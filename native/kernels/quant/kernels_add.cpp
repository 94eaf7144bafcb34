// The quant rows that add, one a type of byte.
#include "kernels/quant/add.hpp"

namespace thew {
namespace {

template <class Q>
inline constexpr OpKernel kAdd[] = {{"qlinear_add", add_rows<Q>}};

template <class Q>
constexpr OpEntry entry(DType dtype) {
    return {{"quant", "add", dtype, dtype, dtype, 0, 0, 0, kIsa}, kAdd<Q>, 1};
}

constexpr OpEntry kEntries[] = {entry<std::uint8_t>(DType::uint8), entry<std::int8_t>(DType::int8)};

}  // namespace

namespace THEW_ISA {
extern const Table<OpEntry> quant_add{kEntries, 2};
}
}  // namespace thew
