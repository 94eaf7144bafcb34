// The border types that every room speaks: element types, and a strided view of memory.
// Plain data only: kernel units are compiled with flags of their own, so nothing here may be an inline function
// that the linker could merge across units.
#pragma once

#include <cstddef>
#include <cstdint>

namespace thew {

enum class DType : std::uint8_t {
    fp64,
    fp32,
    fp16,
    bf16,
    int64,
    int32,
    int16,
    int8,
    uint64,
    uint32,
    uint16,
    uint8,
    boolean,
};

inline constexpr int kMaxRank = 8;
inline constexpr std::size_t kAlignment = 64;  // of the arena, of packed weights and of every planned buffer

// A view: `shape` is in logical order (n, c, h, w for images, whatever the layout), `stride` in elements.
// A layout is nothing but strides: NHWC data is a logical (n, c, h, w) whose channel stride is 1.
// Outputs never overlap themselves; a stride of 0 (broadcast) is legal in inputs only.
// `data` is null for an optional input that is absent.
struct Tensor {
    void* data;
    DType dtype;
    int rank;
    std::int64_t shape[kMaxRank];
    std::int64_t stride[kMaxRank];
};

}  // namespace thew
