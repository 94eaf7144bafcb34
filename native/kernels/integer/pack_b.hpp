// Weights of one item as the tiles read them: panels of columns, the last as narrow as whole vectors allow; within one
// group of k by group, of each column the group's elements side by side. What pads is zero. Plan side only.
#pragma once

#include "kernels/integer/contract.hpp"
#include "kernels/matmul/blocking.hpp"

namespace thew {

// Reads b element by element in the order of k, as unsigned bytes.
class WalkedB {
public:
    WalkedB(const UnpackedB& b, std::uint8_t flip, std::int64_t column)
        : b_(b), flip_(flip), at_(static_cast<const std::uint8_t*>(b.data) + column * b.n_stride) {}
    std::int32_t next() {
        const std::int32_t value = at_[offset_] ^ flip_;
        for (int d = 2; d >= 0; --d) {
            offset_ += b_.stride[d];
            if (++index_[d] < b_.extent[d]) break;
            offset_ -= b_.stride[d] * b_.extent[d];
            index_[d] = 0;
        }
        return value;
    }

private:
    const UnpackedB& b_;
    std::uint8_t flip_;
    const std::uint8_t* at_;
    std::int64_t index_[3] = {0, 0, 0}, offset_ = 0;
};

// Packs column n less `origin`; returns the sum of what was packed.
template <class B>
std::int64_t pack_column(WalkedB from, B* panel, std::int64_t column, std::int64_t width, std::int64_t k, int group,
                         std::int32_t origin) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < k; ++i) {
        const std::int32_t value = from.next() - origin;
        panel[(i / group * width + column) * group + i % group] = static_cast<B>(value);
        sum += value;
    }
    return sum;
}

// Packs all columns; origins[n] is taken from column n, whose sum goes to sums[n]. `packed` is all zero before.
template <class B>
void pack_integer_b(const UnpackedB& b, std::uint8_t flip, const IntegerPacking& packing, std::int64_t panel_columns,
                    std::int64_t k_real, std::int64_t k, const std::int32_t* origins, B* packed, std::int64_t* sums) {
    for (std::int64_t n = 0; n < b.n; ++n) {
        const std::int64_t panel = n / panel_columns * panel_columns, left = b.n - panel;
        const std::int64_t width = round_up(std::min(left, panel_columns), packing.lanes);
        sums[n] =
            pack_column(WalkedB(b, flip, n), packed + panel * k, n - panel, width, k_real, packing.group, origins[n]);
    }
}

}  // namespace thew
