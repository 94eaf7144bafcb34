// Packs a block of a whose rows are neighbours in memory: a vector holds one k of as many rows as it has lanes, and
// goes to the panels as it is.
#pragma once

#include "kernels/matmul/contract.hpp"
#include "kernels/matmul/panels.hpp"
#include "kernels/matmul/tile.hpp"

namespace thew {
namespace {

// A column's lane: a row's element as packed, or the whole group of k that the lane will hold.
template <class N>
using Lane = std::conditional_t<N::kGroup == 1, Raw<typename N::A>, std::uint32_t>;

// Packed columns under Broadcast: from a k to the next, room for a panel's rows in whole vectors.
template <class Tiles, int L = kLanes<Lane<typename Tiles::Numbers>>>
inline constexpr int kColumnPitch = (Tiles::kRows + L - 1) / L* L;

// Takes the columns of k = 0, 1, … and stores whole groups a pitch apart: a pair as the low and high half.
template <class Tiles>
struct PitchedColumns {
    using N = typename Tiles::Numbers;
    static constexpr std::int64_t pitch = kColumnPitch<Tiles>;
    Lane<N>* to;
    Vec<Lane<N>> pending{};

    THEW_INLINE void operator()(std::int64_t k, Vec<Lane<N>> column) {
        if constexpr (N::kGroup == 1) {
            store(to + k * pitch, column);
        } else {
            pending = k % 2 == 0 ? column : pending | column << 16;
            store(to + k / 2 * pitch, pending);
        }
    }
};

// The same under Lanes: a vector of rows stands where its group has that k.
template <class Tiles>
struct LaneColumns {
    using Element = Lane<typename Tiles::Numbers>;
    static constexpr int kGroup = kLanes<Element>;
    Element* to;

    THEW_INLINE void operator()(std::int64_t k, Vec<Element> column) const {
        const auto at = static_cast<std::uint64_t>(k);
        store(to + at * kGroup + at / kGroup * ((Tiles::kRows - kGroup) * kGroup), column);
    }
    // Of k + kAfter, where k is a multiple of kGroup.
    template <int kAfter>
    THEW_INLINE void after(std::int64_t k, Vec<Element> column) const {
        store(to + k * Tiles::kRows + (kAfter / kGroup * Tiles::kRows + kAfter % kGroup) * kGroup, column);
    }
};

// Packs rows [first, last) and k in [k0, k1), k from `k_real` on as padding, from a policy that finds neighbouring rows
// of one k in one vector:
//   rows.columns(a, row, count, k0, k1, column)        column(k, vector) for all k in [k0, k1), k counted from k0
template <class Tiles, class Rows, class A, class T>
void pack_columns(const Rows& rows, A* to, std::int64_t ld, const T* a, std::int64_t first, std::int64_t last,
                  std::int64_t k0, std::int64_t k1, std::int64_t k_real, std::int64_t unit) {
    using N = typename Tiles::Numbers;
    constexpr int L = kLanes<Lane<N>>;
    const Panels panels(last - first, Tiles::kRows, Tiles::kTogether, unit);
    const std::int64_t filled = k1 < k_real ? k1 : k_real;
    std::int64_t row = first;
    for (std::int64_t panel = 0; panel < panels.count; ++panel, to += Tiles::kRows * ld) {
        const int height = panels.height(panel);
        for (int group = 0; group * L < height; ++group) {
            auto* lanes = reinterpret_cast<Lane<N>*>(to) + group * L * (Tiles::Multiply::kPanels ? L : 1);
            std::conditional_t<Tiles::Multiply::kPanels, LaneColumns<Tiles>, PitchedColumns<Tiles>> column{lanes};
            const int count = height - group * L < L ? height - group * L : L;
            rows.columns(a, row + group * L, count, k0, filled, column);
            for (std::int64_t k = filled; k < k1; ++k) column(k - k0, Vec<Lane<N>>{});
        }
        row += height;
    }
}

// The first `count` of a vector of neighbouring elements as lanes of a column: as they are, widened, or their bits; the
// rest are 0.
template <class A, class T>
THEW_INLINE Vec<A> load_lanes(const T* from, int count) {
    const bool whole = count >= kLanes<A>;
    if constexpr (sizeof(A) == sizeof(T)) {
        const A* raw = reinterpret_cast<const A*>(from);
        return whole ? load(raw) : load_partial(raw, count);
    } else if constexpr (std::is_same_v<A, float>) {
        return whole ? load_widened(from) : load_widened_partial(from, count);
    } else {
        HalfWords bits{};
        __builtin_memcpy(&bits, from, whole ? sizeof bits : static_cast<std::size_t>(count) * sizeof(T));
        return __builtin_convertvector(bits, Vec<A>);
    }
}

// Rows that are neighbours in memory (a transposed matrix): a vector of them is one load.
template <class N>
struct NeighbourRows {
    static constexpr bool kColumns = true;
    const Product& p;

    template <class Column>
    void columns(const typename N::Memory* a, std::int64_t row, int count, std::int64_t k0, std::int64_t k1,
                 Column& column) const {
        constexpr int L = kLanes<Lane<N>>;
        const auto* from = a + row + k0 * p.a_k;
        if (row + L <= p.m) {
            for (std::int64_t k = k0; k < k1; ++k, from += p.a_k) column(k - k0, load_lanes<Lane<N>>(from, L));
        } else {
            for (std::int64_t k = k0; k < k1; ++k, from += p.a_k) column(k - k0, load_lanes<Lane<N>>(from, count));
        }
    }
};

}  // namespace
}  // namespace thew
