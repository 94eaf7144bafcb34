// The quant rows, one a type of x: fp32 is quantised, the others dequantised.
#include "kernels/quant/strided.hpp"

namespace thew {
namespace {

constexpr OpKernel kQuantize[] = {
    {"uint8", quant_rows<Quantize<std::uint8_t>>},
    {"int8", quant_rows<Quantize<std::int8_t>>},
    {"uint16", quant_rows<Quantize<std::uint16_t>>},
    {"int16", quant_rows<Quantize<std::int16_t>>},
};
template <class Q>
inline constexpr OpKernel kDequantize[] = {{"fp32", quant_rows<Dequantize<Q>>}};

constexpr OpEntry entry(DType dtype, const OpKernel* kernels, int count) {
    return {{"quant", "strided", dtype, dtype, dtype, 0, 0, 0, kIsa}, kernels, count};
}

constexpr OpEntry kEntries[] = {
    entry(DType::fp32, kQuantize, 4),
    entry(DType::uint8, kDequantize<std::uint8_t>, 1),
    entry(DType::int8, kDequantize<std::int8_t>, 1),
    entry(DType::uint16, kDequantize<std::uint16_t>, 1),
    entry(DType::int16, kDequantize<std::int16_t>, 1),
    entry(DType::int32, kDequantize<std::int32_t>, 1),
};

}  // namespace

namespace THEW_ISA {
extern const Table<OpEntry> quant_table{kEntries, sizeof(kEntries) / sizeof(OpEntry)};
}
}  // namespace thew
