// The loops around the micro-kernel (Van Zee and van de Geijn, BLIS, 2015), with the roles of the operands turned to
// suit convolutions: b (weights) is packed for good, a block of a is packed into the second-level cache by the worker
// that multiplies it, and a panel of b stays in the first level while the tiles of that block pass over it.
//
// Policies: `Tiles` (a TileSet: numbers and micro-kernels) and `Rows`, where rows of a are (pack_a.hpp,
// pack_columns.hpp).
#pragma once

#include "base/phase.hpp"
#include "kernels/matmul/contract.hpp"
#include "kernels/matmul/pack_a.hpp"
#include "kernels/matmul/pack_columns.hpp"
#include "kernels/matmul/tile.hpp"

namespace thew {
namespace {

// From a row to the next along one set of the walk's strides where that is the same for all, else 0.
inline std::int64_t even_step(const Walk& walk, const std::int64_t* stride) {
    for (int d = walk.rank - 1; d > 0; --d) {
        if (stride[d - 1] != stride[d] * walk.extent[d]) return 0;
    }
    return walk.rank > 0 ? stride[walk.rank - 1] : 0;
}

// Offsets of rows [first, last) along one set of the walk's strides.
inline void walk_rows(const Walk& walk, const std::int64_t* stride, std::int64_t first, std::int64_t last,
                      std::int64_t* offsets) {
    if (walk.rank <= 1) {
        const std::int64_t step = walk.rank == 1 ? stride[0] : 0;
        for (std::int64_t row = first; row < last; ++row) *offsets++ = row * step;
        return;
    }
    std::int64_t index[kMaxRank], offset = 0, rest = first;
    for (int d = walk.rank - 1; d >= 0; --d) {
        index[d] = rest % walk.extent[d];
        rest /= walk.extent[d];
        offset += index[d] * stride[d];
    }
    for (std::int64_t row = first; row < last; ++row) {
        *offsets++ = offset;
        for (int d = walk.rank - 1; d >= 0; --d) {
            offset += stride[d];
            if (++index[d] < walk.extent[d]) break;
            offset -= stride[d] * walk.extent[d];
            index[d] = 0;
        }
    }
}

inline std::int64_t walk_one(const Walk& walk, const std::int64_t* stride, std::int64_t at) {
    std::int64_t offset = 0;
    if (walk.rank > 0) walk_rows(walk, stride, at, at + 1, &offset);
    return offset;
}

// The epilogue as tiles take it: relu is a clip at 0 (only its first parameter counts).
template <class T>
inline void set_activation(Write<T>& write, const Epilogue& epilogue) {
    const bool relu = epilogue.activation == Activation::relu;
    write.activation = epilogue.activation;
    write.p0 = relu ? Wide<T>{0} : static_cast<Wide<T>>(epilogue.p0);
    write.p1 = relu ? static_cast<Wide<T>>(__builtin_inf()) : static_cast<Wide<T>>(epilogue.p1);
}

template <class Tiles, class Rows>
struct Driver {
    using N = typename Tiles::Numbers;
    using T = typename N::Memory;
    using A = typename N::A;
    const Product& p;
    const Rows& rows;
    using Sum = typename N::Sum;
    static constexpr bool kKeepsSums = sizeof(T) < sizeof(Sum);  // between blocks of k, since c would round them
    Sum* sums;  // a tile for each worker, where it keeps any; then packed a
    A* packed_a;
    std::int64_t m_tiles, n_tiles, k_blocks;
    std::int64_t c_row = 0, residual_row = 0;
    bool plain = false;  // what plain_tiles takes

    Driver(const Product& product, const Rows& a_rows, std::byte* scratch)
        : p(product), rows(a_rows), sums(reinterpret_cast<Sum*>(scratch)), packed_a(reinterpret_cast<A*>(scratch)) {
        m_tiles = (p.m - p.first + p.blocking.rows - 1) / p.blocking.rows;
        n_tiles = (p.n + p.blocking.columns - 1) / p.blocking.columns;
        k_blocks = p.k == 0 ? 1 : (p.k + p.blocking.depth - 1) / p.blocking.depth;  // an empty sum is written too
        if constexpr (kLaneMultiply && std::is_same_v<T, Sum>) {
            c_row = even_step(p.row, p.row.c);
            residual_row = p.residual ? even_step(p.row, p.row.residual) : 0;
            const bool even = p.row.rank == 0 || (c_row != 0 && (!p.residual || residual_row != 0));
            plain = even && p.bias && p.c_n == 1 && (!p.residual || p.residual_n == 1) && p.n % N::kColumns == 0 &&
                    p.epilogue.activation <= Activation::clip;
        }
    }

    std::int64_t ld() const { return Rows::kColumns ? N::kGroup : p.blocking.a_row; }
    std::int64_t step() const { return Rows::kColumns ? kColumnPitch<Tiles> * N::kGroup : N::kGroup; }
    std::int64_t block_elements() const { return p.blocking.room * p.blocking.a_row; }
    std::int64_t depth_end(std::int64_t k0) const { return k0 + p.blocking.depth < p.k ? k0 + p.blocking.depth : p.k; }

    void pack(A* to, const T* a, std::int64_t first, std::int64_t last, std::int64_t k0, std::int64_t k1) const {
        enter_phase(Phase::pack);
        if constexpr (Rows::kColumns) {
            pack_columns<Tiles>(rows, to, p.blocking.a_row, a, first, last, k0, k1, p.k_real, p.blocking.unit);
        } else {
            pack_block<Tiles>(rows, to, p.blocking.a_row, a, first, last, k0, k1, p.k_real);
        }
        enter_phase(Phase::compute);
    }

    // Shared packing: one task packs one block of k of one tile's rows, of one item.
    void pack_shared(const Workers& workers) {
        auto body = [&](std::int64_t task, int) {
            const std::int64_t k_block = task % k_blocks, m_tile = task / k_blocks % m_tiles;
            const std::int64_t item = task / k_blocks / m_tiles, first = p.first + m_tile * p.blocking.rows;
            const std::int64_t last = first + p.blocking.rows < p.m ? first + p.blocking.rows : p.m;
            const std::int64_t k0 = k_block * p.blocking.depth;
            const T* a = static_cast<const T*>(p.a) + walk_one(p.item, p.item.a, item);
            pack(packed_a + task * block_elements(), a, first, last, k0, depth_end(k0));
        };
        parallel_for(workers, p.items * m_tiles * k_blocks, body);
    }

    void run_tile(std::int64_t task, int worker) {
        const std::int64_t n_tile = task % n_tiles, m_tile = task / n_tiles % m_tiles, item = task / n_tiles / m_tiles;
        const std::int64_t first = p.first + m_tile * p.blocking.rows;
        const std::int64_t last = first + p.blocking.rows < p.m ? first + p.blocking.rows : p.m;
        [[maybe_unused]] const typename Tiles::Multiply::Scope scope;
        Places at;
        if (plain) {
            at.c_offset[0] = walk_one(p.row, p.row.c, first);
            at.residual_offset[0] = p.residual ? walk_one(p.row, p.row.residual, first) : 0;
        } else {
            walk_rows(p.row, p.row.c, first, last, at.c_offset);
            if (p.residual) walk_rows(p.row, p.row.residual, first, last, at.residual_offset);
        }
        const T* a_item = static_cast<const T*>(p.a) + walk_one(p.item, p.item.a, item);
        for (std::int64_t k_block = 0; k_block < k_blocks; ++k_block) {
            const std::int64_t k0 = k_block * p.blocking.depth, k1 = depth_end(k0);
            const A* a = nullptr;
            if (p.blocking.in_place) {
                a = reinterpret_cast<const A*>(a_item + walk_one(p.row, p.row.a, first) + k0);
            } else if (p.blocking.shared) {
                a = packed_a + ((item * m_tiles + m_tile) * k_blocks + k_block) * block_elements();
            } else {
                A* own = packed_a + worker * block_elements();
                pack(own, a_item, first, last, k0, k1);
                a = own;
            }
            multiply_block(a, item, n_tile, last - first, k0, k1, at, worker);
        }
    }

    // Of a block's rows; of plain tiles that of the first one.
    struct Places {
        std::int64_t c_offset[kMaxBlockRows], residual_offset[kMaxBlockRows];
    };

    // What holds for all columns of a block: write's pointers are at column 0.
    Write<T> write_block(std::int64_t item, std::int64_t k0, std::int64_t k1, const Places& at) const {
        Write<T> write{};
        write.first = k0 == 0;
        write.last = k1 == p.k;
        write.sums_row = Tiles::kPanel;
        write.c = static_cast<T*>(p.c) + walk_one(p.item, p.item.c, item);
        const T* residual = static_cast<const T*>(p.residual);
        if (residual) residual += walk_one(p.item, p.item.residual, item);
        const bool adds_residual = kKeepsSums || write.first;  // else c
        write.addend = adds_residual ? residual : write.c;
        write.c_offset = at.c_offset;
        write.addend_offset = adds_residual ? at.residual_offset : at.c_offset;
        if (p.bias && write.first) write.bias = static_cast<const Sum*>(p.bias) + walk_one(p.item, p.item_bias, item);
        if (write.last) set_activation(write, p.epilogue);
        if (!plain) return write;
        write.plain = true;
        write.c_row = c_row, write.addend_row = residual_row;
        write.c += at.c_offset[0];
        write.addend = adds_residual && residual ? residual + at.residual_offset[0] : nullptr;
        return write;
    }

    void multiply_block(const A* a, std::int64_t item, std::int64_t n_tile, std::int64_t m, std::int64_t k0,
                        std::int64_t k1, const Places& at, int worker) const {
        constexpr int kVector = N::kColumns;
        const Write<T> block = write_block(item, k0, k1, at);
        const std::int64_t addend_n = kKeepsSums || block.first ? p.residual_n : p.c_n;
        const auto* b = static_cast<const typename N::B*>(p.b) + walk_one(p.item, p.item_b, item);
        const bool direct = p.c_n == 1 && (!block.addend || addend_n == 1);
        const bool rows_follow = p.blocking.in_place && p.blocking.a_row == k1 - k0;  // one after the other
        const std::int64_t a_row = p.blocking.a_row;                                  // not read again after each call
        constexpr bool kPanelled = Rows::kColumns || Tiles::Multiply::kPanels;

        const Panels panels(m, Tiles::kRows, Tiles::kTogether, p.blocking.unit);
        const std::int64_t n0 = n_tile * p.blocking.columns;
        const std::int64_t n1 = n0 + p.blocking.columns < p.n ? n0 + p.blocking.columns : p.n;
        Write<T> write = block;
        for (std::int64_t n = n0; n < n1; n += Tiles::kPanel) {
            const int columns = static_cast<int>(n1 - n < Tiles::kPanel ? n1 - n : Tiles::kPanel);
            const int vectors = (columns + kVector - 1) / kVector;
            const auto* b_panel = b + n * p.k + k0 * vectors * kVector;
            write.c = block.c + n * p.c_n;
            write.c_offset = block.c_offset;
            write.addend = block.addend ? block.addend + n * addend_n : nullptr;
            write.addend_offset = block.addend_offset;
            write.bias = block.bias ? block.bias + n : nullptr;
            write.columns = columns;
            if (kKeepsSums && k_blocks > 1) write.sums = sums + worker * worker_sums() + (n - n0) * p.blocking.rows;
            const auto* next_b = n + Tiles::kPanel < n1 ? b + (n + Tiles::kPanel) * p.k + k0 * Tiles::kPanel : nullptr;
            AheadTo ahead = ahead_of(rows_follow && n == n0, next_b, k1 - k0, b_panel);
            TilePanels<N> tiles{a, ld(), step(), 0, 0, b_panel, k1 - k0};
            panels.each_run([&](int height, std::int64_t count) THEW_FLAT {
                tiles.a_panel = (kPanelled ? Tiles::kRows : height) * a_row;
                tiles.count = count;
                if (direct) {
                    kTiles.multiply(height, columns, tiles, ahead, write);
                } else {
                    through_buffer(height, tiles, ahead, write, addend_n);
                }
                tiles.a += count * tiles.a_panel;
            });
        }
    }

    // The first pass over rows that are read in place brings in each next tile's; later ones go through the next panel
    // of b, a slice with each tile, until it is all there.
    static AheadTo ahead_of(bool rows_follow, const typename N::B* next_b, std::int64_t k, const typename N::B* none) {
        const char* b = reinterpret_cast<const char*>(next_b ? next_b : none);
        const std::int64_t bytes = k * Tiles::kPanel * static_cast<std::int64_t>(sizeof(typename N::B));
        return {{b, next_b || rows_follow ? kAheadBytes : 0}, b + bytes, rows_follow};
    }

    // c or what is added has columns apart: tiles are computed on copies.
    void through_buffer(int height, TilePanels<N> tiles, AheadTo& ahead, Write<T>& write, std::int64_t addend_n) const {
        T c[Tiles::kRows * Tiles::kPanel], addend[Tiles::kRows * Tiles::kPanel];
        std::int64_t offset[Tiles::kRows];
        for (int i = 0; i < height; ++i) offset[i] = i * Tiles::kPanel;
        for (std::int64_t left = std::exchange(tiles.count, 1); left > 0; --left, tiles.a += tiles.a_panel) {
            for (int i = 0; i < height; ++i) {
                for (int n = 0; write.addend && n < write.columns; ++n) {
                    addend[offset[i] + n] = write.addend[write.addend_offset[i] + n * addend_n];
                }
            }
            Write<T> buffered = write;
            buffered.c = c;
            buffered.addend = write.addend ? addend : nullptr;
            buffered.c_offset = buffered.addend_offset = offset;
            kTiles.multiply(height, write.columns, tiles, ahead, buffered);
            for (int i = 0; i < height && !(write.sums && !write.last); ++i) {
                T* to = write.c + write.c_offset[i];
                for (int n = 0; n < write.columns; ++n) to[n * p.c_n] = c[offset[i] + n];
            }
            write.c_offset += height;
            write.addend_offset += height;
            write.sums = buffered.sums;
        }
    }

    std::int64_t worker_sums() const { return kKeepsSums && k_blocks > 1 ? p.blocking.rows * p.blocking.columns : 0; }

    void run(const Workers& workers) {
        packed_a = reinterpret_cast<A*>(sums + workers.count * worker_sums());
        if (p.blocking.shared) pack_shared(workers);
        auto body = [&](std::int64_t task, int worker) { run_tile(task, worker); };
        parallel_for(workers, p.items * m_tiles * n_tiles, body);
    }

    static constexpr Tiles kTiles{};
};

template <class Tiles>
void run_strided(const Product& product, const Workers& workers, std::byte* packed_a) {
    using T = typename Tiles::Numbers::Memory;
    if constexpr (Tiles::Multiply::kTakesColumns) {
        if (product.a_columns) {
            const NeighbourRows<typename Tiles::Numbers> columns{product};
            return Driver<Tiles, NeighbourRows<typename Tiles::Numbers>>(product, columns, packed_a).run(workers);
        }
    }
    const StridedRows<T> rows{product};
    Driver<Tiles, StridedRows<T>>(product, rows, packed_a).run(workers);
}

}  // namespace
}  // namespace thew
