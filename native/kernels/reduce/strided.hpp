// The two loops of a reduction. `along`: x's unit stride lies in a reduced axis (or nowhere), vectors run along it and
// end in a sum over lanes. `across`: it lies in a kept axis, a vector holds neighbouring results. S is the type in
// memory, Wide<S> the one computed in.
#pragma once

#include "kernels/reduce/ops.hpp"

namespace thew {
namespace {

template <class T>
struct SignedOf {
    typedef decltype(Vec<T>{} < Vec<T>{}) Mask;
};

// A vector of ones, then one of zeros.
template <class T>
struct Marks {
    T marks[2 * kLanes<T>];

    constexpr Marks() : marks() {
        for (int i = 0; i < kLanes<T>; ++i) marks[i] = T{1};
    }
};
template <class T>
inline constexpr Marks<T> kMarks{};

// Lanes below `count`.
template <class T>
THEW_INLINE typename SignedOf<T>::Mask first_lanes(int count) {
    return load(kMarks<T>.marks + kLanes<T> - count) != T{0};
}

// `count` <= kLanes elements, `stride` apart.
template <class S>
__attribute__((noinline)) Vec<Wide<S>> gather(const S* from, std::int64_t stride, int count) {
    if (stride == 1) return load_widened_partial(from, count);
    S buffer[kLanes<Wide<S>>]{};
#pragma GCC unroll 1
    for (int i = 0; i < count; ++i) buffer[i] = from[i * stride];
    return load_widened(buffer);
}
template <class S>
THEW_INLINE Vec<Wide<S>> load_strided(const S* from, std::int64_t stride, int count) {
    return stride == 1 && count == kLanes<Wide<S>> ? load_widened(from) : gather<S>(from, stride, count);
}

template <class S>
__attribute__((noinline)) void store_strided(S* to, std::int64_t stride, Vec<Wide<S>> value, int count) {
    if (stride == 1 && count == kLanes<Wide<S>>) return store_narrowed(to, value);
    S buffer[kLanes<Wide<S>>];
    store_narrowed(buffer, value);
#pragma GCC unroll 1
    for (int i = 0; i < count; ++i) to[i * stride] = buffer[i];
}

// Adds at most kReduceBlock · 4 · kLanes elements of a row to `total`.
template <class Op, class S, class T = Wide<S>>
__attribute__((noinline)) Vec<T> reduce_run(Vec<T> total, const S* from, std::int64_t stride, std::int64_t count,
                                            Vec<T> shift) {
    constexpr int lanes = kLanes<T>;
    Vec<T> sums[4];
    unroll<4>([&](auto k) THEW_FLAT { sums[k] = splat(Op::start); });
    std::int64_t i = 0;
    if (stride == 1) {
        for (; i + 4 * lanes <= count; i += 4 * lanes) {
            unroll<4>([&](auto k)
                          THEW_FLAT { sums[k] = Op::take(sums[k], load_widened(from + i + k * lanes), shift); });
        }
    }
    for (; i + lanes <= count; i += lanes)
        sums[0] = Op::take(sums[0], load_strided(from + i * stride, stride, lanes), shift);
    if (i < count) {
        const int rest = static_cast<int>(count - i);
        const Vec<T> taken = Op::take(sums[1], load_strided(from + i * stride, stride, rest), shift);
        sums[1] = first_lanes<T>(rest) ? taken : sums[1];
    }
    return Op::join(total, Op::join(Op::join(sums[0], sums[1]), Op::join(sums[2], sums[3])));
}

// One result: `rows` are the reduced axes but the last, along which runs go. For `Shifts` see reduce_neighbours.
template <class Op, class S, bool Shifts>
void reduce_along(const ReduceArgs& args, const S* x, S* y) {
    using T = Wide<S>;
    constexpr std::int64_t run = kReduceBlock * 4 * kLanes<T>;
    const Axes& reduced = args.reduced;
    const int last = reduced.rank - 1;
    const std::int64_t length = last < 0 ? reduced.count : reduced.extent[last];
    const std::int64_t stride = last < 0 ? 1 : reduced.stride[0][last];
    Axes rows = reduced;
    rows.rank = last < 0 ? 0 : last;
    const std::int64_t count = length == 0 ? 0 : reduced.count / length;
    Vec<T> shift{};
    if constexpr (Shifts) shift = Op::shift_of(splat(wide_of(*y)));
    Vec<T> total = splat(Op::start);
    for (std::int64_t row = 0; row < count; ++row) {
        const S* from = x + offsets_at(rows, row).of[0];
        for (std::int64_t i = 0; i < length; i += run) {
            total = reduce_run<Op, S>(total, from + i * stride, stride, length - i < run ? length - i : run, shift);
        }
    }
    *y = narrow_to<S>(Op::finish(join_lanes<Op, T>(total), reduced.count, shift)[0]);
}

// N vectors of neighbouring results; the last of them has `lanes` of its lanes.
template <class Op, class S, int N, class T = Wide<S>>
__attribute__((noinline)) void reduce_across(const ReduceArgs& args, const S* x, S* y, std::int64_t y_stride, int lanes,
                                             const Vec<T> (&shift)[N]) {
    const Axes& reduced = args.reduced;
    const int last = reduced.rank - 1;
    const std::int64_t length = last < 0 ? reduced.count : reduced.extent[last];
    const std::int64_t stride = last < 0 ? 0 : reduced.stride[0][last];
    Axes rows = reduced;
    rows.rank = last < 0 ? 0 : last;
    const std::int64_t count = length == 0 ? 0 : reduced.count / length;
    Vec<T> total[N], sums[N];
    unroll<N>([&](auto k) THEW_FLAT { total[k] = sums[k] = splat(Op::start); });
    std::int64_t room = kReduceBlock;  // terms that `sums` may still take
    for (std::int64_t row = 0; row < count; ++row) {
        const S* from = x + offsets_at(rows, row).of[0];
        for (std::int64_t i = 0; i < length;) {
            const std::int64_t end = i + (length - i < room ? length - i : room);
            room -= end - i;
            for (; i < end; ++i, from += stride) {
                unroll<N>([&](auto k) THEW_FLAT {
                    const S* at = from + k * kLanes<T>;
                    const Vec<T> value = k == N - 1 && lanes < kLanes<T> ? gather<S>(at, 1, lanes) : load_widened(at);
                    sums[k] = Op::take(sums[k], value, shift[k]);
                });
            }
            if (room > 0) continue;
            room = kReduceBlock;
            unroll<N>([&](auto k) THEW_FLAT {
                total[k] = Op::join(total[k], sums[k]);
                sums[k] = splat(Op::start);
            });
        }
    }
    unroll<N>([&](auto k) THEW_FLAT { total[k] = Op::join(total[k], sums[k]); });
#pragma GCC unroll 1
    for (int k = 0; k < N; ++k) {
        const int here = k == N - 1 ? lanes : kLanes<T>;
        store_strided(y + k * kLanes<T> * y_stride, y_stride, Op::finish(total[k], reduced.count, shift[k]), here);
    }
}

// Whether x's unit stride is in the innermost kept axis.
inline bool runs_across(const ReduceArgs& args) {
    const Axes &kept = args.kept, &reduced = args.reduced;
    if (kept.rank == 0 || kept.stride[0][kept.rank - 1] != 1) return false;
    return reduced.rank == 0 || reduced.stride[0][reduced.rank - 1] != 1;
}

// Results [first, last) of one run of neighbours. `Shifts`: y comes in with the largest elements, and the op makes of
// them what it subtracts.
template <class Op, class S, bool Shifts>
void reduce_neighbours(const ReduceArgs& args, const S* x, S* y, std::int64_t stride, std::int64_t first,
                       std::int64_t last) {
    using T = Wide<S>;
    auto step = [&](auto vectors, int lanes) {
        constexpr int count = vectors;
        S* to = y + first * stride;
        Vec<T> shift[count]{};
        if constexpr (Shifts) {
            unroll<count>([&](auto k) THEW_FLAT {
                const int here = k == count - 1 ? lanes : kLanes<T>;
                shift[k] = Op::shift_of(load_strided(to + k * kLanes<T> * stride, stride, here));
            });
        }
        reduce_across<Op, S, count>(args, x + first, to, stride, lanes, shift);
        first += count * kLanes<T>;
    };
    while (first + 4 * kLanes<T> <= last) step(Constant<4>{}, kLanes<T>);
    while (first + kLanes<T> <= last) step(Constant<1>{}, kLanes<T>);
    if (first < last) step(Constant<1>{}, static_cast<int>(last - first));
}

// The loops of one op, for the walk over positions, which is the same for all ops.
template <class S>
struct Loops {
    void (*along)(const ReduceArgs& args, const S* x, S* y);
    void (*neighbours)(const ReduceArgs& args, const S* x, S* y, std::int64_t stride, std::int64_t first,
                       std::int64_t last);
};

template <class S>
void reduce_all(const Loops<S>& loops, const ReduceArgs& args, const S* x, S* y, const Workers& workers) {
    const bool across = runs_across(args);
    Axes outer = args.kept;
    std::int64_t length = 1, stride = 0, block = 1;
    if (across) {
        length = outer.extent[outer.rank - 1];
        stride = outer.stride[1][outer.rank - 1];
        --outer.rank;
        block = 4 * kLanes<Wide<S>>;
        while (block < length && block * args.reduced.count < 16384) block *= 2;
    }
    const std::int64_t positions = length == 0 ? 0 : args.kept.count / length, blocks = (length + block - 1) / block;
    const std::int64_t work = args.reduced.count * block + 1, group = work >= 16384 ? 1 : 16384 / work;
    const std::int64_t units = positions * blocks;
    auto body = [&](std::int64_t item, int) {
        for (std::int64_t unit = item * group; unit < units && unit < (item + 1) * group; ++unit) {
            const Offsets at = offsets_at(outer, unit / blocks);
            const std::int64_t first = unit % blocks * block, last = first + block < length ? first + block : length;
            if (across) {
                loops.neighbours(args, x + at.of[0], y + at.of[1], stride, first, last);
            } else {
                loops.along(args, x + at.of[0], y + at.of[1]);
            }
        }
    };
    parallel_for(workers, (units + group - 1) / group, body);
}

template <class Op, class S, bool Shifts = false>
inline constexpr Loops<S> kLoops{reduce_along<Op, S, Shifts>, reduce_neighbours<Op, S, Shifts>};

}  // namespace
}  // namespace thew
