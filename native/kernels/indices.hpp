// Numbers of rows that a tensor of indices holds, as steps read them before any kernel does. Plan side only.
#pragma once

#include <string>

#include "base/error.hpp"
#include "base/tensor.hpp"

namespace thew {

template <class Integer>
void read_indices_as(const Tensor& indices, std::int64_t count, std::int64_t extent, const std::string& where,
                     std::int64_t* to) {
    std::int64_t at[kMaxRank] = {};
    for (std::int64_t i = 0; i < count; ++i) {
        std::int64_t offset = 0;
        for (int d = 0; d < indices.rank; ++d) offset += at[d] * indices.stride[d];
        const std::int64_t value = static_cast<const Integer*>(indices.data)[offset];
        if (value < -extent || value >= extent) {
            throw Error(where + "indices must be within [" + std::to_string(-extent) + ", " +
                        std::to_string(extent - 1) + "], got " + std::to_string(value) +
                        "; check the tensor that feeds them");
        }
        to[i] = value < 0 ? value + extent : value;
        for (int d = indices.rank - 1; d >= 0 && ++at[d] == indices.shape[d]; --d) at[d] = 0;
    }
}

// `count` int32 or int64 indices, in any strides; negative ones count from the end of `extent` rows. Throws Error, its
// message after `where`, for one out of range.
inline void read_indices(const Tensor& indices, std::int64_t count, std::int64_t extent, const std::string& where,
                         std::int64_t* to) {
    if (indices.dtype == DType::int64) {
        read_indices_as<std::int64_t>(indices, count, extent, where, to);
    } else {
        read_indices_as<std::int32_t>(indices, count, extent, where, to);
    }
}

}  // namespace thew
