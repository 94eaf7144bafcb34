// Vectors of inputs for vectors of outputs, where both fall into groups of `width` channels and a lane multiplies the
// inputs of its own group only. `width` divides the lanes of a vector, or they divide it.
//
//   Spread(inputs)               one for groups of so many inputs, which a lane multiplies one after another
//   spread.inputs(from, i)       inputs i … i + kAtOnce - 1 of each group; channel `from` begins the first group
//   inputs.read<N>(pixels)       row(q): the vector that stands for pixel q of N
//   multiply_add<k>(sum, w, x)   sum += w · input i + k of what x stands for
//   In, Sum                      what pixels have, and what they are summed in
#pragma once

#include "simd/unroll.hpp"

namespace thew {
namespace {

// One input at a time, brought to all lanes of its group by a permutation as it is loaded.
template <class T>
class PermutedInputs {
    using Lane = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
    using Lanes = Vec<Lane>;

    template <int... I>
    static THEW_INLINE Lanes numbered(std::integer_sequence<int, I...>) {
        return Lanes{I...};
    }
    const Lanes begin_;  // the lane where a lane's group begins

public:
    using In = T;
    using Sum = T;
    static constexpr int kAtOnce = 1;

    explicit THEW_INLINE PermutedInputs(std::int64_t width)
        : begin_(numbered(std::make_integer_sequence<int, kLanes<T>>{}) & (Lanes{} - static_cast<Lane>(width))) {}

    struct Inputs {
        std::int64_t offset;
        Lanes lanes;

        template <int N>
        THEW_INLINE auto read(const T* const* pixels) const {
            return [pixels, offset = offset, lanes = lanes](auto q)
                       THEW_FLAT { return __builtin_shuffle(load(pixels[q] + offset), lanes); };
        }
    };
    THEW_INLINE Inputs inputs(std::int64_t from, std::int64_t i) const {
        return {from + (i & -std::int64_t{kLanes<T>}), begin_ + static_cast<Lane>(i & (kLanes<T> - 1))};
    }

    template <int>
    static THEW_INLINE void multiply_add(Vec<T>& sum, Vec<T> weight, Vec<T> input) {
        sum += weight * input;
    }
};

// A vector of inputs at a time, for groups of whole vectors: multiply-adds take them lane by lane.
template <class T>
class LaneInputs {
public:
    using In = T;
    using Sum = T;
    static constexpr int kAtOnce = kLanes<T>;

    explicit THEW_INLINE LaneInputs(std::int64_t) {}

    struct Inputs {
        std::int64_t offset;

        template <int N>
        struct Row {
            Vec<T> vectors[N];
            template <int Q>
            THEW_INLINE Vec<T> operator()(Constant<Q>) const {
                return vectors[Q];
            }
        };
        template <int N>
        THEW_INLINE Row<N> read(const T* const* pixels) const {
            Row<N> row;
            unroll<N>([&](auto q) THEW_FLAT { row.vectors[q] = load(pixels[q] + offset); });
            return row;
        }
    };
    THEW_INLINE Inputs inputs(std::int64_t from, std::int64_t i) const { return {from + i}; }

#if defined(__aarch64__)
    template <int Input>
    static THEW_INLINE void multiply_add(Vec<T>& sum, Vec<T> weight, Vec<T> inputs) {
        multiply_add_lane<Input, 0>(sum, weight, inputs);
    }
#endif
};

}  // namespace
}  // namespace thew
