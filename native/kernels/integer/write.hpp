// From a tile's sums to c: corrections, requantisation, a residual, clamp. One loop for all tiles.
#pragma once

#include "kernels/integer/contract.hpp"
#include "simd/requantise.hpp"

namespace thew {
namespace {

// What the writer needs of a tile: where it is in c, which columns, and the rows' sums of a.
struct TilePlace {
    std::byte* c;                  // at the tile's first column
    const std::int64_t* c_offset;  // elements, one a row
    const std::byte* residual;     // as c; null where there is none
    const std::int64_t* residual_offset;
    const std::int32_t* row_sums;  // one a row; read where b' is not 0
    std::int64_t column;           // the first, in the arrays of the product
    int rows, columns, width;      // stored columns; columns in the buffer
};

using Unsigned32s = Vec<std::uint32_t>;  // sums wrap as ONNX's do

// All in locals: stores of bytes may alias the arguments.
template <class C, class Finish>
void write_rows(const IntegerProduct& p, const std::int32_t* sums, const TilePlace at, const Finish finish) {
    const std::int64_t c_n = p.trunk.c_n;
    const std::int32_t* const all_left = p.b_left;
    for (int column = 0; column < at.columns; column += kWordLanes) {
        const auto start = (Unsigned32s)load(p.start + at.column + column);
        const auto left = all_left ? (Unsigned32s)load(all_left + at.column + column) : Unsigned32s{};
        const Vec<float> multiplier = p.multiplier ? load(p.multiplier + at.column + column) : Vec<float>{};
        const std::int64_t columns = at.columns - column;
        C* const first = reinterpret_cast<C*>(at.c) + column * c_n;
        for (int row = 0; row < at.rows; ++row) {
            auto sum = (Unsigned32s)load(sums + row * at.width + column) + start;
            if (all_left) sum -= left * (Unsigned32s)splat(at.row_sums[row]);
            store_columns(first + at.c_offset[row], finish((Int32s)sum, multiplier, row, column), c_n, columns);
        }
    }
}

// Requantised, and the residual's bytes added, of which `at` tells.
template <class Q>
void write_with_residual(const IntegerProduct& p, const std::int32_t* sums, const TilePlace& at) {
    const IntegerResidual& added = p.residual;
    const std::int32_t least = added.is_signed ? -128 : 0;
    const WholeSteps inner{splat(static_cast<float>(least - added.y_zero)),
                           splat(static_cast<float>(least + 255 - added.y_zero))};
    const Requantise outer(p.c_zero, p.low, p.high);
    const Int32s r_zero = splat(added.r_zero);
    const Vec<float> y_ratio = splat(added.y_ratio), r_ratio = splat(added.r_ratio);
    const Q* const from = reinterpret_cast<const Q*>(at.residual);
    const std::int64_t stride = p.trunk.residual_n, *const offset = at.residual_offset, width = at.columns;
    const auto finish = [=](Int32s sum, Vec<float> multiplier, int row, std::int64_t column) THEW_FLAT {
        const Vec<float> y = inner(__builtin_convertvector(sum, Vec<float>) * multiplier);
        const Int32s r = load_columns(from + offset[row] + column * stride, stride, width - column);
        return outer(steps_of(y, y_ratio) + steps_of(r, r_zero, r_ratio));
    };
    write_rows<std::uint8_t>(p, sums, at, finish);
}

inline void write_integer_tile(const IntegerProduct& p, const std::int32_t* sums, const TilePlace& at) {
    if (at.residual) {
        return p.residual.is_signed ? write_with_residual<std::int8_t>(p, sums, at)
                                    : write_with_residual<std::uint8_t>(p, sums, at);
    }
    if (p.multiplier) {
        const Requantise requantise(p.c_zero, p.low, p.high);
        write_rows<std::uint8_t>(p, sums, at, [requantise](Int32s sum, Vec<float> multiplier, int, int) THEW_FLAT {
            return requantise(__builtin_convertvector(sum, Vec<float>) * multiplier);
        });
    } else {
        write_rows<std::int32_t>(p, sums, at, [](Int32s sum, Vec<float>, int, int) THEW_FLAT { return sum; });
    }
}

}  // namespace
}  // namespace thew
