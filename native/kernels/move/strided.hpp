// Copies of rows.
#pragma once

#include "kernels/elementwise.hpp"
#include "kernels/move/contract.hpp"

namespace thew {
namespace {

// From this length on the C library's copy is as good as any, and knows the machine's string instructions.
inline constexpr std::int64_t kLibraryBytes = 512;

template <class Word>
void copy_rows(const Leaf& leaf, const void*) {
    const std::int64_t bytes = leaf.cols * static_cast<std::int64_t>(sizeof(Word));
    if (leaf.step[1] == 0 || bytes < kLibraryBytes) {
        return map_rows<Word, 1>(leaf, [](Vec<Word> x) THEW_FLAT { return x; });
    }
    for (std::int64_t row = 0; row < leaf.rows; ++row) {
        __builtin_memcpy(leaf.data[0] + row * leaf.row_bytes[0], leaf.data[1] + row * leaf.row_bytes[1],
                         static_cast<std::size_t>(bytes));
    }
}

}  // namespace
}  // namespace thew
