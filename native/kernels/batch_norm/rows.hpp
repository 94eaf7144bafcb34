// The loops over positions, a block of kStatisticsRows at a time, and over channels within: vectors where channels are
// neighbours in every image, single elements where they are not.
#pragma once

#include "kernels/batch_norm/contract.hpp"
#include "simd/unroll.hpp"
#include "simd/vec.hpp"

namespace thew {
namespace {

inline std::int64_t block_count(const BatchNormArgs& args) {
    return (args.positions.count + kStatisticsRows - 1) / kStatisticsRows;
}
inline std::int64_t part_count(const BatchNormArgs& args) {
    const std::int64_t blocks = block_count(args);
    return blocks < kStatisticsParts ? blocks : kStatisticsParts;
}

// Where the positions of a block lie in each of `Images` images.
template <int Images>
struct Rows {
    int count;
    std::int64_t at[Images][kStatisticsRows];

    Rows(const Positions& positions, std::int64_t block) {
        const std::int64_t first = block * kStatisticsRows, left = positions.count - first;
        count = static_cast<int>(left < kStatisticsRows ? left : kStatisticsRows);
        std::int64_t index[kMaxRank], rest = first, offset[Images] = {};
        for (int d = positions.rank - 1; d >= 0; --d) {
            index[d] = rest % positions.extent[d];
            rest /= positions.extent[d];
            for (int i = 0; i < Images; ++i) offset[i] += index[d] * positions.stride[i][d];
        }
        for (int row = 0; row < count; ++row) {
            for (int i = 0; i < Images; ++i) at[i][row] = offset[i];
            for (int d = positions.rank - 1; d >= 0; --d) {
                for (int i = 0; i < Images; ++i) offset[i] += positions.stride[i][d];
                if (++index[d] < positions.extent[d]) break;
                for (int i = 0; i < Images; ++i) offset[i] -= positions.stride[i][d] * positions.extent[d];
                index[d] = 0;
            }
        }
    }
};

// One vector of channels, the last maybe partial, or one channel.
template <class T>
struct VectorLanes {
    using Value = Vec<T>;
    static constexpr int width = kLanes<T>;
    int count;
    THEW_INLINE Value get(const T* from) const { return count == width ? load(from) : load_partial(from, count); }
    THEW_INLINE void put(T* to, Value value) const {
        if (count == width) {
            store(to, value);
        } else {
            store_partial(to, value, count);
        }
    }
    static THEW_INLINE T lane(Value value, int i) { return value[i]; }
};
template <class T>
struct SingleLane {
    using Value = T;
    static constexpr int width = 1;
    int count;
    THEW_INLINE Value get(const T* from) const { return *from; }
    THEW_INLINE void put(T* to, Value value) const { *to = value; }
    static THEW_INLINE T lane(Value value, int) { return value; }
};

// body(lanes, first channel) for all channels.
template <class T, class Body>
THEW_INLINE void each_channel(const BatchNormArgs& args, int images, const Body& body) {
    bool neighbours = true;
    for (int i = 0; i < images; ++i) neighbours = neighbours && args.step[i] == 1;
    if (neighbours) {
        std::int64_t c = 0;
        for (; c + kLanes<T> <= args.channels; c += kLanes<T>) body(VectorLanes<T>{kLanes<T>}, c);
        if (c < args.channels) body(VectorLanes<T>{static_cast<int>(args.channels - c)}, c);
    } else {
        for (std::int64_t c = 0; c < args.channels; ++c) body(SingleLane<T>{1}, c);
    }
}

// of_part(part, first block, last block) for every part.
template <class Body>
void each_part(const BatchNormArgs& args, const Workers& workers, const Body& of_part) {
    const std::int64_t blocks = block_count(args), parts = part_count(args);
    auto body = [&](std::int64_t part, int) { of_part(part, part * blocks / parts, (part + 1) * blocks / parts); };
    parallel_for(workers, parts, body);
}

template <int Images, class Body>
void each_block(const BatchNormArgs& args, const Workers& workers, const Body& of_block) {
    auto body = [&](std::int64_t block, int) { of_block(Rows<Images>(args.positions, block)); };
    parallel_for(workers, block_count(args), body);
}

}  // namespace
}  // namespace thew
