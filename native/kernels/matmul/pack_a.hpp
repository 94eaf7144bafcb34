// Packs a block of a. A `Rows` policy knows where rows are and hands out pieces of k: pointers to consecutive elements
// of as many neighbouring rows as the layout takes at a time. Pieces that are not in memory as such (zeros around an
// image, strided rows) are pieces of zeros, or staged.
//
//   rows.start(row)                                    a cursor: place(), advance()
//   rows.visit(a, places, k0, k1, staging, piece)      piece(k, pointers, count) for all k in [k0, k1), k counted from
//   k0
#pragma once

#include "kernels/matmul/contract.hpp"
#include "kernels/matmul/tile.hpp"

namespace thew {
namespace {

inline constexpr int kMostPiece = 256;  // elements of a piece that is zeros or staged

template <class T>
alignas(64) constexpr T kZeros[kMostPiece] = {};

template <class T, int R>
struct Staging {
    T rows[R][kMostPiece];
};

template <class T>
THEW_INLINE void copy_run(T* to, const T* from, std::int64_t count) {
    for (; count >= kLanes<T>; count -= kLanes<T>, to += kLanes<T>, from += kLanes<T>) store(to, load(from));
    if (count > 0) store_partial(to, load_partial(from, static_cast<int>(count)), static_cast<int>(count));
}

// Rows side by side, ld apart (Broadcast).
template <class T>
struct RowLayout {
    static constexpr int kGroup = 1;
    T* to;
    THEW_INLINE void operator()(std::int64_t k, const T* const (&from)[1], std::int64_t count) const {
        copy_run(to + k, from[0], count);
    }
};

// A group of L rows within a panel of PanelRows (Lanes).
template <class T, int PanelRows>
struct LaneLayout {
    static constexpr int kGroup = kLanes<T>;
    static constexpr int L = kLanes<T>, kBlock = L * PanelRows;  // elements from L k to the next L k
    T* to;

    THEW_INLINE void one(std::int64_t k, const T* const (&from)[L], std::int64_t i) const {
        T* at = to + k / L * kBlock + k % L * L;
        unroll<L>([&](auto l) THEW_FLAT { at[l] = from[l][i]; });
    }
    THEW_INLINE void operator()(std::int64_t k, const T* const (&from)[L], std::int64_t count) const {
        std::int64_t i = 0;
        for (; (k + i) % L != 0 && i < count; ++i) one(k + i, from, i);
        const T* p[L];
        unroll<L>([&](auto l) THEW_FLAT { p[l] = from[l] + i; });
        T* at = to + (k + i) / L * kBlock;
        const std::int64_t pairs = (count - i) / (2 * L);
        for (std::int64_t pair = pairs; pair > 0; --pair) Interleave<T>::copy(p, at, kBlock * sizeof(T));
        i += 2 * L * pairs;
        for (; i < count; ++i) one(k + i, from, i);
    }
    void zero(std::int64_t k) const {
        unroll<L>([&](auto l) THEW_FLAT { to[k / L * kBlock + k % L * L + l] = T{}; });
    }
};

// Packs rows [first, last) and k in [k0, k1) for tiles of `Tiles`; k from `k_real` on is padding.
template <class T, class Tiles, class Rows>
void pack_block(const Rows& rows, T* to, std::int64_t ld, const T* a, std::int64_t first, std::int64_t last,
                std::int64_t k0, std::int64_t k1, std::int64_t k_real) {
    auto cursor = rows.start(first);
    if constexpr (!Tiles::Multiply::kPanels) {
        Staging<T, 1> staging;
        for (std::int64_t row = first; row < last; ++row, to += ld) {
            const decltype(cursor.place()) places[1] = {cursor.place()};
            rows.visit(a, places, k0, k1, staging, RowLayout<T>{to});
            cursor.advance();
        }
    } else {
        constexpr int L = kLanes<T>;
        const Panels panels(last - first, Tiles::kRows);
        const std::int64_t filled = k1 < k_real ? k1 : k_real;
        Staging<T, L> staging;
        for (std::int64_t panel = 0; panel < panels.count; ++panel, to += Tiles::kRows * ld) {
            const int height = panels.height(panel);
            for (int group = 0; group * L < height; ++group) {
                decltype(cursor.place()) places[L];  // a group past the panel's last row repeats that row
                for (int l = 0; l < L; ++l) {
                    places[l] = cursor.place();
                    if (group * L + l + 1 < height) cursor.advance();
                }
                const LaneLayout<T, Tiles::kRows> layout{to + group * L * L};
                rows.visit(a, places, k0, filled, staging, layout);
                for (std::int64_t k = filled; k < k1; ++k) layout.zero(k - k0);
            }
            cursor.advance();
        }
    }
}

// Packed columns under Broadcast: from a k to the next, room for a panel's rows in whole vectors.
template <class T, class Tiles>
inline constexpr int kColumnPitch = (Tiles::kRows + kLanes<T> - 1) / kLanes<T>* kLanes<T>;

// As pack_block, from a policy that finds neighbouring rows of one k in one vector:
//   rows.columns(a, row, count, k0, k1, column)        column(k, vector) for all k in [k0, k1), k counted from k0
template <class T, class Tiles, class Rows>
void pack_columns(const Rows& rows, T* to, std::int64_t ld, const T* a, std::int64_t first, std::int64_t last,
                  std::int64_t k0, std::int64_t k1, std::int64_t k_real, std::int64_t unit) {
    constexpr int L = kLanes<T>;
    const Panels panels(last - first, Tiles::kRows, unit);
    const std::int64_t filled = k1 < k_real ? k1 : k_real;
    std::int64_t row = first;
    for (std::int64_t panel = 0; panel < panels.count; ++panel, to += Tiles::kRows * ld) {
        const int height = panels.height(panel);
        for (int group = 0; group * L < height; ++group) {
            auto place = [&](std::int64_t k) THEW_FLAT {
                if constexpr (Tiles::Multiply::kPanels) return to + (k / L * Tiles::kRows + group * L + k % L) * L;
                return to + k * kColumnPitch<T, Tiles> + group * L;
            };
            const int count = height - group * L < L ? height - group * L : L;
            rows.columns(a, row + group * L, count, k0, filled,
                         [&](std::int64_t k, Vec<T> vector) THEW_FLAT { store(place(k), vector); });
            for (std::int64_t k = filled; k < k1; ++k) store(place(k - k0), Vec<T>{});
        }
        row += height;
    }
}

// Rows that are neighbours in memory (a transposed matrix): a vector of them is one load.
template <class T>
struct NeighbourRows {
    static constexpr bool kColumns = true;
    const Product& p;

    template <class Column>
    void columns(const T* a, std::int64_t row, int count, std::int64_t k0, std::int64_t k1,
                 const Column& column) const {
        const T* from = a + row + k0 * p.a_k;
        if (row + kLanes<T> <= p.m) {
            for (std::int64_t k = k0; k < k1; ++k, from += p.a_k) column(k - k0, load(from));
        } else {
            for (std::int64_t k = k0; k < k1; ++k, from += p.a_k) column(k - k0, load_partial(from, count));
        }
    }
};

// Rows of a strided view: k is one stride, rows are where the walk says.
template <class T>
struct StridedRows {
    static constexpr bool kColumns = false;
    const Product& p;

    class Cursor {
    public:
        Cursor(const Walk& walk, std::int64_t row) : walk_(walk) {
            for (int d = walk.rank - 1; d >= 0; --d) {
                index_[d] = row % walk.extent[d];
                row /= walk.extent[d];
                offset_ += index_[d] * walk.a[d];
            }
        }
        std::int64_t place() const { return offset_; }
        void advance() {
            for (int d = walk_.rank - 1; d >= 0; --d) {
                offset_ += walk_.a[d];
                if (++index_[d] < walk_.extent[d]) return;
                offset_ -= walk_.a[d] * walk_.extent[d];
                index_[d] = 0;
            }
        }

    private:
        const Walk& walk_;
        std::int64_t index_[kMaxRank], offset_ = 0;
    };
    Cursor start(std::int64_t row) const { return Cursor(p.row, row); }

    template <int R, class Piece>
    void visit(const T* a, const std::int64_t (&places)[R], std::int64_t k0, std::int64_t k1, Staging<T, R>& staging,
               const Piece& piece) const {
        const T* from[R];
        if (p.a_k == 1) {
            for (int r = 0; r < R; ++r) from[r] = a + places[r] + k0;
            piece(0, from, k1 - k0);
            return;
        }
        for (std::int64_t k = k0; k < k1; k += kMostPiece) {
            const std::int64_t count = k1 - k < kMostPiece ? k1 - k : kMostPiece;
            for (int r = 0; r < R; ++r) {
                const T* source = a + places[r] + k * p.a_k;
                for (std::int64_t i = 0; i < count; ++i) staging.rows[r][i] = source[i * p.a_k];
                from[r] = staging.rows[r];
            }
            piece(k - k0, from, count);
        }
    }
};

}  // namespace
}  // namespace thew
