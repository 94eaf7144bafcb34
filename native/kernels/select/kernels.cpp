// The select row: a condition of bool, a kernel for every dtype by the size of its elements.
#include "kernels/select/strided.hpp"

namespace thew {
namespace {

constexpr OpKernel kKernels[] = {
    {"fp64", where_rows<std::int64_t>},   {"fp32", where_rows<std::int32_t>},   {"fp16", where_rows<std::int16_t>},
    {"bf16", where_rows<std::int16_t>},   {"int64", where_rows<std::int64_t>},  {"int32", where_rows<std::int32_t>},
    {"int16", where_rows<std::int16_t>},  {"int8", where_rows<std::int8_t>},    {"uint64", where_rows<std::int64_t>},
    {"uint32", where_rows<std::int32_t>}, {"uint16", where_rows<std::int16_t>}, {"uint8", where_rows<std::int8_t>},
    {"bool", where_rows<std::int8_t>},
};

constexpr OpEntry kEntries[] = {
    {{"select", "strided", DType::boolean, DType::boolean, DType::boolean, 0, 0, 0, kIsa},
     kKernels,
     sizeof(kKernels) / sizeof(OpKernel)},
};

}  // namespace

namespace THEW_ISA {
extern const Table<OpEntry> select_table{kEntries, 1};
}
}  // namespace thew
