// Packs a block of a. A `Rows` policy knows where rows are and hands out pieces of k: pointers to consecutive elements
// of as many neighbouring rows as the layout takes at a time. Pieces that are not in memory as such (zeros around an
// image, strided rows) are pieces of zeros, or staged.
//
//   rows.start(row)                                    a cursor: place(), advance()
//   rows.visit(a, places, k0, k1, staging, piece)      piece(k, pointers, count) for all k in [k0, k1), k counted from
//   k0
#pragma once

#include "kernels/matmul/contract.hpp"
#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#include "kernels/matmul/squares.hpp"
#endif
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

// As they are, or (from 16 bits to fp32) widened.
template <class To, class From>
THEW_INLINE void copy_run(To* to, const From* from, std::int64_t count) {
    if constexpr (std::is_same_v<To, From> && kIsHalf<To>) {
        copy_run(reinterpret_cast<Raw<To>*>(to), reinterpret_cast<const Raw<To>*>(from), count);
    } else {
        constexpr int L = kLanes<To>;
        for (; count >= L; count -= L, to += L, from += L) store(to, load_widened(from));
        const int tail = static_cast<int>(count);
        if (tail > 0) store_partial(to, load_widened_partial(from, tail), tail);
    }
}

// Rows side by side, ld apart (Broadcast).
template <class A>
struct RowLayout {
    A* to;
    template <class T>
    THEW_INLINE void operator()(std::int64_t k, const T* const (&from)[1], std::int64_t count) const {
        copy_run(to + k, from[0], count);
    }
};

// A group of L rows within a panel of PanelRows (Lanes).
template <class T, int PanelRows>
struct LaneLayout {
    static constexpr int L = kLanes<Raw<T>>, kElements = L * L, kBlock = L * PanelRows;  // from L k to the next L k
    static constexpr int kWidened = 64;
    T* to;

    THEW_INLINE void one(std::int64_t k, const T* const (&from)[L], std::int64_t i) const {
        T* at = to + k / L * kBlock + k % L * L;
        unroll<L>([&](auto l) THEW_FLAT { at[l] = from[l][i]; });
    }
    THEW_INLINE void operator()(std::int64_t k, const T* const (&from)[L], std::int64_t count) const {
        std::int64_t i = 0;
        for (; (k + i) % L != 0 && i < count; ++i) one(k + i, from, i);
        const T* p[L];
        unroll<L>([&](auto l) THEW_FLAT {
            p[l] = from[l] + i;
            THEW_PIN_POINTER(p[l]);  // not in a vector register with its neighbour
        });
        T* at = to + (k + i) / L * kBlock;
        const std::int64_t pairs = (count - i) / (2 * L);
        for (std::int64_t pair = pairs; pair > 0; --pair) Interleave<T>::copy(p, at, kBlock * sizeof(T));
        i += 2 * L * pairs;
        for (; i < count; ++i) one(k + i, from, i);
    }
    // From 16 bits: widened into a buffer first.
    template <class Half>
    void operator()(std::int64_t k, const Half* const (&from)[L], std::int64_t count) const {
        T wide[L][kWidened];
        const T* rows[L];
        for (int l = 0; l < L; ++l) rows[l] = wide[l];
        for (std::int64_t i = 0; i < count; i += kWidened) {
            const std::int64_t piece = count - i < kWidened ? count - i : kWidened;
            for (int l = 0; l < L; ++l) copy_run(wide[l], from[l] + i, piece);
            (*this)(k + i, rows, piece);
        }
    }
    void zero(std::int64_t k) const {
        unroll<L>([&](auto l) THEW_FLAT { to[k / L * kBlock + k % L * L + l] = T{}; });
    }
};

// The layout of a group of rows of a panel.
template <class Tiles, class Multiply = typename Tiles::Multiply>
struct LayoutOf {
    using type = LaneLayout<typename Tiles::Numbers::A, Tiles::kRows>;
};
#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
template <class Tiles>
struct LayoutOf<Tiles, Squares> {
    using type = SquareLayout<typename Tiles::Numbers::A, Tiles::kRows>;
};
#endif

// Packs rows [first, last) and k in [k0, k1) for tiles of `Tiles`; k from `k_real` on is padding.
template <class Tiles, class Rows, class A, class T>
void pack_block(const Rows& rows, A* to, std::int64_t ld, const T* a, std::int64_t first, std::int64_t last,
                std::int64_t k0, std::int64_t k1, std::int64_t k_real) {
    auto cursor = rows.start(first);
    const std::int64_t filled = k1 < k_real ? k1 : k_real;
    if constexpr (!Tiles::Multiply::kPanels) {
        Staging<T, 1> staging;
        for (std::int64_t row = first; row < last; ++row, to += ld) {
            const decltype(cursor.place()) places[1] = {cursor.place()};
            rows.visit(a, places, k0, filled, staging, RowLayout<A>{to});
            for (std::int64_t k = filled; k < k1; ++k) to[k - k0] = A{};
            cursor.advance();
        }
    } else {
        using Layout = typename LayoutOf<Tiles>::type;
        constexpr int L = Layout::L;
        const Panels panels(last - first, Tiles::kRows);
        Staging<T, L> staging;
        for (std::int64_t panel = 0; panel < panels.count; ++panel, to += Tiles::kRows * ld) {
            const int height = panels.height(panel);
            for (int group = 0; group * L < height; ++group) {
                decltype(cursor.place()) places[L];  // a group past the panel's last row repeats that row
                for (int l = 0; l < L; ++l) {
                    places[l] = cursor.place();
                    if (group * L + l + 1 < height) cursor.advance();
                }
                const Layout layout{to + group * Layout::kElements};
                rows.visit(a, places, k0, filled, staging, layout);
                for (std::int64_t k = filled; k < k1; ++k) layout.zero(k - k0);
            }
            cursor.advance();
        }
    }
}

// A column's lane: a row's element as packed, or the whole group of k that the lane will hold.
template <class N>
using Lane = std::conditional_t<N::kGroup == 1, Raw<typename N::A>, std::uint32_t>;

// Packed columns under Broadcast: from a k to the next, room for a panel's rows in whole vectors.
template <class Tiles, int L = kLanes<Lane<typename Tiles::Numbers>>>
inline constexpr int kColumnPitch = (Tiles::kRows + L - 1) / L* L;

// Takes the columns of k = 0, 1, … and stores whole groups, `pitch` lanes apart: a pair as the low and high half.
template <class N>
struct ColumnStore {
    Lane<N>* to;
    std::int64_t pitch;
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

// As pack_block, from a policy that finds neighbouring rows of one k in one vector:
//   rows.columns(a, row, count, k0, k1, column)        column(k, vector) for all k in [k0, k1), k counted from k0
// Under Lanes, a vector of rows stands where its group has that k.
template <class Tiles, class Rows, class A, class T>
void pack_columns(const Rows& rows, A* to, std::int64_t ld, const T* a, std::int64_t first, std::int64_t last,
                  std::int64_t k0, std::int64_t k1, std::int64_t k_real, std::int64_t unit) {
    using N = typename Tiles::Numbers;
    constexpr int L = kLanes<Lane<N>>;
    const Panels panels(last - first, Tiles::kRows, unit);
    const std::int64_t filled = k1 < k_real ? k1 : k_real;
    std::int64_t row = first;
    for (std::int64_t panel = 0; panel < panels.count; ++panel, to += Tiles::kRows * ld) {
        const int height = panels.height(panel);
        for (int group = 0; group * L < height; ++group) {
            auto* lanes = reinterpret_cast<Lane<N>*>(to) + group * L * (Tiles::Multiply::kPanels ? L : 1);
            ColumnStore<N> columns{lanes, kColumnPitch<Tiles>};
            auto column = [&](std::int64_t k, Vec<Lane<N>> vector) THEW_FLAT {
                if constexpr (Tiles::Multiply::kPanels) {
                    const auto at = static_cast<std::uint64_t>(k);
                    store(lanes + at * L + at / L * ((Tiles::kRows - L) * L), vector);
                } else {
                    columns(k, vector);
                }
            };
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
                 const Column& column) const {
        constexpr int L = kLanes<Lane<N>>;
        const auto* from = a + row + k0 * p.a_k;
        if (row + L <= p.m) {
            for (std::int64_t k = k0; k < k1; ++k, from += p.a_k) column(k - k0, load_lanes<Lane<N>>(from, L));
        } else {
            for (std::int64_t k = k0; k < k1; ++k, from += p.a_k) column(k - k0, load_lanes<Lane<N>>(from, count));
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
            if (walk.rank == 0) return;
            step_ = walk.a[walk.rank - 1];
            left_ = walk.extent[walk.rank - 1] - index_[walk.rank - 1];
        }
        std::int64_t place() const { return offset_; }
        THEW_INLINE void advance() {
            offset_ += step_;
            if (--left_ == 0) carry();
        }

    private:
        // From the end of the innermost dimension to the next beginning.
        __attribute__((noinline)) void carry() {
            int d = walk_.rank - 1;
            left_ = walk_.extent[d];
            offset_ -= walk_.a[d] * walk_.extent[d];
            while (--d >= 0) {
                offset_ += walk_.a[d];
                if (++index_[d] < walk_.extent[d]) return;
                offset_ -= walk_.a[d] * walk_.extent[d];
                index_[d] = 0;
            }
        }

        const Walk& walk_;
        std::int64_t index_[kMaxRank], offset_ = 0;  // but for the innermost, of which `left_` are left
        std::int64_t step_ = 0, left_ = -1;
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
