// A block of tiles: its inputs transformed straight into packed rows of the products, a² products a panel of output
// channels, and that panel's outputs transformed straight into y, so that what lies between stays in the second-level
// cache. Memory of 16 bits is widened as tiles are read, and rounded once as outputs are written.
#pragma once

#include "base/phase.hpp"
#include "kernels/matmul/pack_a.hpp"
#include "kernels/winograd/half.hpp"
#include "kernels/winograd/product.hpp"
#include "kernels/winograd/reader.hpp"
#include "kernels/winograd/transform.hpp"

namespace thew {
namespace {

template <class Memory, class Tiles, int M, int R>
class WinogradBlocks {
    using T = Wide<Memory>;
    static constexpr int A = M + R - 1, L = kLanes<T>, kPanel = Tiles::kPanel;
    static constexpr bool kPanels = Tiles::Multiply::kPanels;
    static constexpr int kTogether = kPanels ? L : 1;  // tiles that one packed vector holds
    static constexpr int kChunk = 4 * L;               // channels that are staged at a time
    // Products of one panel of output channels: [tile][point][channel], or within panels [point][tile][channel].
    static constexpr int kPoint = kPanels ? Tiles::kRows * kPanel : kPanel;
    using Reader = TileReader<Memory, A, kChunk>;
    using Source = typename Reader::Source;
    using Stage = typename Reader::Stage;
    const WinogradArgs& args_;
    const WinogradViews& views_;
    const Places<M> places_;

    Reader reader_of(std::int64_t group) const {
        const Memory* x = static_cast<const Memory*>(views_.x) + group * args_.c;
        return Reader({x, views_.x_n, views_.x_h, views_.x_w, args_.h, args_.w, args_.pad_top, args_.pad_left});
    }
    std::int64_t size_of(std::int64_t block) const {
        const std::int64_t left = args_.tiles - block * args_.block;
        return left < args_.block ? left : args_.block;
    }

    // Channels [c, c + count) of one tile; whole vectors are written, channels past `count` as zeros.
    void transform_one(const Reader& reader, const Source& source, std::int64_t c, std::int64_t count, Stage& stage,
                       T* v) const {
        constexpr std::int64_t kStep = kPanels ? A * A : 1;  // elements of v a channel
        const std::int64_t direct = source.staged ? 0 : count / L * L;
        if (direct > 0) {
            transform_input<Memory, A, kPanels>(source.data + c, source.row, source.column, direct, v, args_.a_point);
        }
        for (std::int64_t done = direct; done < count; done += kChunk) {
            const std::int64_t part = count - done < kChunk ? count - done : kChunk;
            reader.fill(source, c + done, part, stage);
            transform_input<T, A, kPanels>(stage.pixels, A * kChunk, kChunk, round_to(part, L), v + done * kStep,
                                           args_.a_point);
        }
    }

public:
    WinogradBlocks(const WinogradArgs& args, const WinogradViews& views)
        : args_(args), views_(views), places_(args.tiles_h, args.tiles_w) {}

    // Transforms one panel's tiles of a block into v, the block's packed rows.
    void transform(std::int64_t group, std::int64_t block, std::int64_t panel, T* v) const {
        enter_phase(Phase::transform);
        const Panels panels = panels_of(block);
        const int height = panels.height(panel);
        const std::int64_t row = panels.row(panel), first = block * args_.block + row;
        T* to = v + (kPanels ? panel * Tiles::kRows : row) * args_.a_row;
        Stage stage[kTogether];
        const Reader reader = reader_of(group);
        Place place = places_.at(first);
        if constexpr (!kPanels) {
            for (int i = 0; i < height; ++i, to += args_.a_row, places_.advance(place)) {
                transform_one(reader, reader.source(place, stage[0]), 0, args_.c, stage[0], to);
            }
        } else {
            for (int at = 0; at < height; at += L, to += L * L) {
                Source sources[L];
                const int count = height - at < L ? height - at : L;
                for (int l = 0; l < count; ++l, places_.advance(place)) sources[l] = reader.source(place, stage[l]);
                transform_together(reader, sources, count, stage, to);
            }
        }
        enter_phase(Phase::compute);
    }

    Panels panels_of(std::int64_t block) const { return {size_of(block), Tiles::kRows, Tiles::kTogether}; }

    // One panel of output channels of a block: products into z, then outputs. Where weights are near, what is asked for
    // meanwhile are the outputs, and the panel's part of the inputs of block `next` (-1: none).
    __attribute__((noinline)) void multiply(std::int64_t group, std::int64_t block, std::int64_t column_panel, T* v,
                                            T* z, std::int64_t next) const {
        const std::int64_t o = column_panel * kPanel, left = args_.oc - o, columns = left < kPanel ? left : kPanel;
        const int vectors = static_cast<int>((columns + L - 1) / L);
        const std::int64_t depth = round_to(args_.c, Tiles::kDepthMultiple);
        const Panels panels = panels_of(block);
        const T* u =
            static_cast<const T*>(args_.packed) + group * args_.packed_item + column_panel * args_.packed_panel;
        const bool near = args_.near && next >= 0;
        AheadOfTwo ahead{};
        if (near) ahead = ahead_of(group, block, column_panel, next);
        for (int point = 0; point < A * A; ++point) {
            const T* next_u = u + depth * vectors * L;
            if (!near) {
                ahead = {ahead_of_part(next_u, next_u + depth * vectors * L, 0, 1),
                         {{reinterpret_cast<const char*>(next_u), 0}, nullptr}};
            }
            const std::int64_t ld = kPanels ? 1 : args_.a_row;
            const T* a = v + point * args_.a_point;
            T* c = z + point * kPoint;
            panels.each_run([&](int height, std::int64_t count) THEW_FLAT {
                const std::int64_t rows = kPanels ? Tiles::kRows : height;
                const ProductPanels<T> of{a, ld,          rows * args_.a_row, count, u, depth,
                                          c, args_.c_row, rows * args_.c_row, false};
                kProducts.multiply(height, vectors, of, ahead.now());
                a += count * of.a_panel;
                c += count * of.c_panel;
            });
            u = next_u;
        }
        enter_phase(Phase::transform);
        write(group, block, o, columns, z);
        enter_phase(Phase::compute);
    }

private:
    Place last_of(std::int64_t block) const { return places_.at(block * args_.block + size_of(block) - 1); }

    // The outputs of a block before its first panel of channels; and a panel's part of the next one's inputs.
    AheadOfTwo ahead_of(std::int64_t group, std::int64_t block, std::int64_t column_panel, std::int64_t next) const {
        const Reader reader = reader_of(group);
        const std::int64_t panels = (args_.oc + kPanel - 1) / kPanel;
        const auto y_at = [&](const Place& place) {
            return static_cast<const Memory*>(views_.y) + group * args_.oc + place.n * views_.y_n +
                   place.h * views_.y_h + place.w * views_.y_w;
        };
        const Memory* y = y_at(places_.at(block * args_.block));
        return {ahead_of_part(y, column_panel > 0 ? y : y_at(last_of(block)) + M * views_.y_h, 0, 1),
                ahead_of_part(reader.first(places_.at(next * args_.block)), reader.last(last_of(next)), column_panel,
                              panels)};
    }

    // L tiles side by side in the packed vectors: transformed one by one, then interleaved, some channels at a time.
    void transform_together(const Reader& reader, const Source (&sources)[kTogether], int count,
                            Stage (&stage)[kTogether], T* to) const {
        static_assert(A * A % 2 == 0);  // points are interleaved in pairs
        const std::int64_t point_bytes = args_.a_point * static_cast<std::int64_t>(sizeof(T));
        alignas(64) T results[kTogether][A * A * kChunk];
        for (std::int64_t c = 0; c < args_.c; c += kChunk) {
            const std::int64_t channels = args_.c - c < kChunk ? args_.c - c : kChunk;
            for (int l = 0; l < count; ++l) transform_one(reader, sources[l], c, channels, stage[l], results[l]);
            for (std::int64_t done = 0; done < channels; done += L) {
                const T* rows[kTogether];  // past the last tile: that one again, which no product reads
                for (int l = 0; l < kTogether; ++l) rows[l] = results[l < count ? l : count - 1] + done * A * A;
                T* packed = to + (c + done) * Tiles::kRows;
                for (int pair = A * A / 2; pair > 0; --pair) {
                    Interleave<T>::copy(rows, packed, point_bytes);
                }
            }
        }
    }

    // Outputs of a block's tiles from their products.
    void write(std::int64_t group, std::int64_t block, std::int64_t o, std::int64_t columns, const T* z) const {
        OutputTile<Memory> to{};
        to.y_h = views_.y_h, to.y_w = views_.y_w;
        to.r_h = views_.r_h, to.r_w = views_.r_w;
        to.bias = static_cast<const T*>(views_.bias) + group * round_to(args_.oc, kPanel) + o;
        to.activation = args_.epilogue.activation;
        to.low = to.activation == Activation::relu ? T{0} : static_cast<T>(args_.epilogue.p0);
        to.high = static_cast<T>(args_.epilogue.p1);
        const Panels panels = panels_of(block);
        Place place = places_.at(block * args_.block);
        for (std::int64_t panel = 0; panel < panels.count; ++panel) {
            const int height = panels.height(panel);
            const T* tile = z;
            for (int i = 0; i < height; ++i, tile += kPanels ? kPanel : args_.c_row, places_.advance(place)) {
                write_tile(to, place, group * args_.oc + o, tile, columns);
            }
            z += (kPanels ? Tiles::kRows : height) * args_.c_row;
        }
    }

    // The outputs of one tile, from `channel` of y on.
    void write_tile(OutputTile<Memory>& to, const Place& place, std::int64_t channel, const T* z,
                    std::int64_t columns) const {
        to.y = static_cast<Memory*>(views_.y) + place.n * views_.y_n + place.h * views_.y_h + place.w * views_.y_w +
               channel;
        if (views_.residual) {
            to.residual = static_cast<const Memory*>(views_.residual) + place.n * views_.r_n + place.h * views_.r_h +
                          place.w * views_.r_w + channel;
        }
        const bool whole = place.h + M <= args_.oh && place.w + M <= args_.ow;
        const bool once = !kIsHalf<Memory> || to.activation <= Activation::clip;  // y is rounded
        const std::int64_t direct = whole && once ? columns / L * L : 0;
        if (direct > 0) {
            transform_output<Memory, M, R, kPoint>(z, to, direct);
            if constexpr (!kIsHalf<Memory>) {
                if (to.activation > Activation::clip) activate_tile(to, direct);
            }
        }
        if (direct < columns) write_staged(to, place, z, direct, columns);
    }

    // Channels [first, last) through a staged tile of outputs and residuals, a vector at a time.
    void write_staged(const OutputTile<Memory>& to, const Place& place, const T* z, std::int64_t first,
                      std::int64_t last) const {
        alignas(64) T outputs[M * M * L], residuals[M * M * L] = {};
        Clip clip{0, 0, 0, 0};
        clip_span(place.h, M, args_.oh, clip.row, clip.rows);
        clip_span(place.w, M, args_.ow, clip.column, clip.columns);
        OutputTile<T> staged{
            outputs, to.residual ? residuals : nullptr, nullptr, M * L, L, M * L, L, to.activation, to.low, to.high};
        for (std::int64_t o = first; o < last; o += L) {
            const int count = static_cast<int>(last - o < L ? last - o : L);
            for (std::int64_t pixel = 0; to.residual && pixel < clip.rows * clip.columns; ++pixel) {
                const std::int64_t i = pixel / clip.columns, j = pixel % clip.columns;
                store(residuals + (i * M + j) * L,
                      load_widened_partial(to.residual + o + i * to.r_h + j * to.r_w, count));
            }
            staged.bias = to.bias + o;
            transform_output<T, M, R, kPoint>(z + o, staged, L);
            if (to.activation > Activation::clip) activate_tile(staged, L);
            for (std::int64_t i = 0; i < clip.rows; ++i) {
                for (std::int64_t j = 0; j < clip.columns; ++j) {
                    store_narrowed_partial(to.y + o + i * to.y_h + j * to.y_w, load(outputs + (i * M + j) * L), count);
                }
            }
        }
    }

    // Activations beyond a clip, over the tile just stored.
    __attribute__((noinline)) void activate_tile(const OutputTile<T>& at, std::int64_t count) const {
        const T p0 = static_cast<T>(args_.epilogue.p0), p1 = static_cast<T>(args_.epilogue.p1);
        for (int i = 0; i < M; ++i) {
            for (int j = 0; j < M; ++j) {
                T* y = at.y + i * at.y_h + j * at.y_w;
                for (std::int64_t o = 0; o < count; o += L) {
                    store(y + o, activated(at.activation, load(y + o), p0, p1));
                }
            }
        }
    }

    static constexpr ProductKernels<T, Tiles, 0, kPanels ? kPanel : 0> kProducts{};
};

template <class Memory, class Tiles, int M, int R>
void run_winograd(const WinogradArgs& args, const WinogradViews& views, const Workers& workers, std::byte* scratch) {
    using T = Wide<Memory>;
    const WinogradBlocks<Memory, Tiles, M, R> blocks(args, views);
    const std::int64_t count = (args.tiles + args.block - 1) / args.block;
    const std::int64_t column_panels = (args.oc + Tiles::kPanel - 1) / Tiles::kPanel;
    T* v = reinterpret_cast<T*>(scratch);
    T* z = v + (args.together > 0 ? args.together : workers.count) * args.a_block;
    if (args.together == 0) {
        auto body = [&](std::int64_t task, int worker) {
            const std::int64_t group = task / count, block = task % count;
            T* own = v + worker * args.a_block;
            const std::int64_t panels = blocks.panels_of(block).count;
            for (std::int64_t panel = 0; panel < panels; ++panel) blocks.transform(group, block, panel, own);
            for (std::int64_t panel = 0; panel < column_panels; ++panel) {
                const std::int64_t next = block + 1 < count ? block + 1 : -1;
                blocks.multiply(group, block, panel, own, z + worker * args.c_block, next);
            }
        };
        parallel_for(workers, args.group * count, body);
        return;
    }
    const std::int64_t row_panels = (args.block + Tiles::kRows - 1) / Tiles::kRows;
    for (std::int64_t task = 0; task < args.group * count; task += args.together) {
        const std::int64_t now = args.group * count - task < args.together ? args.group * count - task : args.together;
        auto transform = [&](std::int64_t part, int) {
            const std::int64_t at = part / row_panels, panel = part % row_panels;
            const std::int64_t group = (task + at) / count, block = (task + at) % count;
            if (panel < blocks.panels_of(block).count) blocks.transform(group, block, panel, v + at * args.a_block);
        };
        parallel_for(workers, now * row_panels, transform);
        auto multiply = [&](std::int64_t part, int worker) {
            const std::int64_t at = part / column_panels, panel = part % column_panels;
            const std::int64_t group = (task + at) / count, block = (task + at) % count;
            blocks.multiply(group, block, panel, v + at * args.a_block, z + worker * args.c_block, -1);
        };
        parallel_for(workers, now * column_panels, multiply);
    }
}

}  // namespace
}  // namespace thew
