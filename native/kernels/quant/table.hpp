// Functions of one byte, looked up row by row.
#pragma once

#include "kernels/quant/contract.hpp"
#include "simd/byte_table.hpp"

namespace thew {
namespace {

inline void table_rows(const Leaf& leaf, const void* parameters) {
    const std::uint8_t* bytes = static_cast<const TableOfBytes*>(parameters)->bytes;
    const ByteTable table(bytes);
    for (std::int64_t row = 0; row < leaf.rows; ++row) {
        auto* out = reinterpret_cast<std::uint8_t*>(leaf.data[0] + row * leaf.row_bytes[0]);
        const auto* x = reinterpret_cast<const std::uint8_t*>(leaf.data[1] + row * leaf.row_bytes[1]);
        std::int64_t column = 0;
        if (ByteTable::kInVectors && leaf.step[1] == 1) {
            for (; column + kLanes<std::uint8_t> <= leaf.cols; column += kLanes<std::uint8_t>) {
                store(out + column, table(load(x + column)));
            }
        }
        for (; column < leaf.cols; ++column) out[column] = bytes[x[column * leaf.step[1]]];
    }
}

}  // namespace
}  // namespace thew
