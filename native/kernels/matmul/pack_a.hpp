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
#include "kernels/matmul/panels.hpp"
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
        const Panels panels(last - first, Tiles::kRows, Tiles::kTogether);
        Staging<T, L> staging;
        for (std::int64_t panel = 0; panel < panels.count; ++panel, to += Tiles::kRows * ld) {
            const int height = panels.height(panel);
            for (int group = 0; group * L < height; ++group) {
                decltype(cursor.place()) places[L];  // a group past the panel's last row repeats that row
                const int count = height - group * L;
                unroll<L>([&](auto l) THEW_FLAT {
                    places[l] = cursor.place();
                    if (l + 1 < L && l + 1 < count) cursor.advance();
                });
                cursor.advance();
                const Layout layout{to + group * Layout::kElements};
                rows.visit(a, places, k0, filled, staging, layout);
                for (std::int64_t k = filled; k < k1; ++k) layout.zero(k - k0);
            }
        }
    }
}

// Rows of a strided view: k is one stride, rows are where the walk says.
template <class T>
struct StridedRows {
    static constexpr bool kColumns = false;
    const Product& p;

    // All of it are numbers that stay in registers: the end of the innermost dimension, where a step does not do, is
    // found again from the row.
    class Cursor {
        struct Found {
            std::int64_t offset, left;  // rows until the end of the innermost dimension
        };

    public:
        Cursor(const Walk& walk, std::int64_t row) : walk_(walk), row_(row) {
            if (walk.rank > 0) step_ = walk.a[walk.rank - 1];
            const Found found = find(walk, row);
            offset_ = found.offset, end_ = row + found.left;
        }
        std::int64_t place() const { return offset_; }
        THEW_INLINE void advance() {
            offset_ += step_;
            if (++row_ != end_) return;
            const Found found = find(walk_, row_);
            offset_ = found.offset, end_ = row_ + found.left;
        }

    private:
        static __attribute__((noinline)) Found find(const Walk& walk, std::int64_t row) {
            Found found{0, -1};
            for (int d = walk.rank - 1; d >= 0; --d) {
                const std::int64_t index = row % walk.extent[d];
                if (d == walk.rank - 1) found.left = walk.extent[d] - index;
                row /= walk.extent[d];
                found.offset += index * walk.a[d];
            }
            return found;
        }

        const Walk& walk_;
        std::int64_t row_, end_ = 0, offset_ = 0, step_ = 0;
    };
    Cursor start(std::int64_t row) const { return Cursor(p.row, row); }

    template <int R, class Piece>
    void visit(const T* a, const std::int64_t (&places)[R], std::int64_t k0, std::int64_t k1, Staging<T, R>& staging,
               const Piece& piece) const {
        const T* from[R];
        if (p.a_k == 1) {
            unroll<R>([&](auto r) THEW_FLAT { from[r] = a + k0 + places[r]; });
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
