// The quant rows from bytes to bytes, one a type of byte: sums, products, and functions of one byte.
#include "kernels/quant/pairs.hpp"
#include "kernels/quant/table.hpp"

namespace thew {
namespace {

template <class Q>
inline constexpr OpKernel kPairs[] = {{"qlinear_add", add_rows<Q>}, {"qlinear_mul", multiply_rows<Q>}};
constexpr OpKernel kTable[] = {{"lookup", table_rows}};

constexpr OpEntry entry(const char* algorithm, DType dtype, const OpKernel* kernels, int count) {
    return {{"quant", algorithm, dtype, dtype, dtype, 0, 0, 0, kIsa}, kernels, count};
}

constexpr OpEntry kEntries[] = {
    entry("pairs", DType::uint8, kPairs<std::uint8_t>, 2),
    entry("pairs", DType::int8, kPairs<std::int8_t>, 2),
    entry("table", DType::uint8, kTable, 1),
    entry("table", DType::int8, kTable, 1),
};

}  // namespace

namespace THEW_ISA {
extern const Table<OpEntry> quant_bytes{kEntries, sizeof(kEntries) / sizeof(OpEntry)};
}
}  // namespace thew
