// What follows the sums of a depthwise tile. relu and clip are a clamp inside the tile; a residual, or any other
// activation, is applied to a buffered line of results on its way to y.
#pragma once

#include "kernels/depthwise/contract.hpp"
#include "simd/activation.hpp"
#include "simd/half.hpp"

namespace thew {
namespace {

inline bool needs_finish(const DepthwiseArgs& args) {
    const Activation activation = args.epilogue.activation;
    return args.residual ||
           !(activation == Activation::none || activation == Activation::relu || activation == Activation::clip);
}

template <class T>
struct Bounds {
    T low, high;
};

template <class Out, class T>
Bounds<T> tile_bounds(const DepthwiseArgs& args) {
    if constexpr (sizeof(Out) == 1) {
        return {static_cast<T>(args.low), static_cast<T>(args.high)};
    } else {
        constexpr T most = static_cast<T>(__builtin_inf());
        if (needs_finish(args) || args.epilogue.activation == Activation::none) return {-most, most};
        if (args.epilogue.activation == Activation::relu) return {T{0}, most};
        return {static_cast<T>(args.epilogue.p0), static_cast<T>(args.epilogue.p1)};
    }
}

template <class T>
struct Line {
    T* results;  // full vectors may be read and written, whatever the count
    std::int64_t count;
    T* y;
    const T* residual;  // null where there is none
    std::int64_t y_step, residual_step;
};

// results = act(results + residual), in a wider type where there is one; of bytes nothing is asked.
template <class T>
void finish_line(const Line<T>& line, const Epilogue& epilogue) {
    using W = Wide<T>;
    if (line.residual != nullptr) {
        for (std::int64_t i = 0; i < line.count; ++i) {
            line.results[i] = narrow_to<T>(wide_of(line.results[i]) + wide_of(line.residual[i * line.residual_step]));
        }
    }
    const W p0 = static_cast<W>(epilogue.p0), p1 = static_cast<W>(epilogue.p1);
    if (epilogue.activation != Activation::none) {
        for (std::int64_t i = 0; i < line.count; i += kLanes<W>) {
            const Vec<W> sum = load_widened(line.results + i);
            store_narrowed(line.results + i, activate<W>(epilogue.activation, sum, p0, p1));
        }
    }
}
inline void finish_line(const Line<std::uint8_t>&, const Epilogue&) {}
inline void finish_line(const Line<std::int8_t>&, const Epilogue&) {}

// y = act(results + residual) if `finishes`, else y = results.
template <class T>
__attribute__((noinline)) void write_line(const Line<T>& line, const Epilogue& epilogue, bool finishes) {
    if (finishes) finish_line(line, epilogue);
    if (line.y_step == 1) {
        __builtin_memcpy(line.y, line.results, static_cast<std::size_t>(line.count) * sizeof(T));
    } else {
        for (std::int64_t i = 0; i < line.count; ++i) line.y[i * line.y_step] = line.results[i];
    }
}

}  // namespace
}  // namespace thew
