// The quant rows, one a quantised type.
#include "kernels/quant/strided.hpp"

namespace thew {
namespace {

template <class Q>
inline constexpr OpKernel kBoth[] = {{"dequantize_linear", dequantize_rows<Q>}, {"quantize_linear", quantize_rows<Q>}};
constexpr OpKernel kDequantize[] = {{"dequantize_linear", dequantize_rows<std::int32_t>}};

constexpr OpEntry entry(DType dtype, const OpKernel* kernels, int count) {
    return {{"quant", "strided", dtype, dtype, dtype, 0, 0, 0, kIsa}, kernels, count};
}

constexpr OpEntry kEntries[] = {
    entry(DType::uint8, kBoth<std::uint8_t>, 2),   entry(DType::int8, kBoth<std::int8_t>, 2),
    entry(DType::uint16, kBoth<std::uint16_t>, 2), entry(DType::int16, kBoth<std::int16_t>, 2),
    entry(DType::int32, kDequantize, 1),
};

}  // namespace

namespace THEW_ISA {
extern const Table<OpEntry> quant_table{kEntries, sizeof(kEntries) / sizeof(OpEntry)};
}
}  // namespace thew
