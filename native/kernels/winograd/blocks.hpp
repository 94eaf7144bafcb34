// A block of tiles: its inputs transformed straight into packed rows of the products, a² products a panel of output
// channels, and that panel's outputs transformed straight into y, so that what lies between stays in the second-level
// cache. Tiles over the image's edge, and channels that fill no vector, pass through a staged tile.
#pragma once

#include "base/phase.hpp"
#include "kernels/matmul/pack_a.hpp"
#include "kernels/winograd/product.hpp"
#include "kernels/winograd/transform.hpp"

namespace thew {
namespace {

// The part of a tile, `rows` × `columns` from (row, column) on, that lies in the image.
struct Clip {
    std::int64_t row, rows, column, columns;

    bool is_whole(int size) const { return rows == size && columns == size; }
};

// Of `size` elements from `first` on, those in [0, extent): the first, relative to `first`, and how many.
inline void clip_span(std::int64_t first, std::int64_t size, std::int64_t extent, std::int64_t& from,
                      std::int64_t& count) {
    const std::int64_t begin = first < 0 ? -first : 0, end = first + size < extent ? size : extent - first;
    from = begin < size ? begin : 0;
    count = end > begin ? end - begin : 0;
}

template <class T, class Tiles, int M, int R>
class WinogradBlocks {
    static constexpr int A = M + R - 1, L = kLanes<T>, kPanel = Tiles::kPanel;
    static constexpr bool kPanels = Tiles::Multiply::kPanels;
    static constexpr int kTogether = kPanels ? L : 1;  // tiles that one packed vector holds
    const WinogradArgs& args_;
    const WinogradViews& views_;

    // Where a tile's outputs start, and the step to the next tile.
    struct Place {
        std::int64_t n, h, w;  // image, row, column
    };
    struct Source {
        const T* x;
        std::int64_t row, column;  // strides
        bool staged;
        Clip clip;
    };

    static std::int64_t round_to(std::int64_t count, std::int64_t multiple) {
        return (count + multiple - 1) / multiple * multiple;
    }
    Place place_of(std::int64_t tile) const {
        const std::int64_t in_row = tile / args_.tiles_w;
        return {in_row / args_.tiles_h, in_row % args_.tiles_h * M, tile % args_.tiles_w * M};
    }
    void advance(Place& place) const {
        if ((place.w += M) < args_.ow) return;
        place.w = 0;
        if ((place.h += M) < args_.oh) return;
        place.h = 0;
        place.n += 1;
    }

    std::int64_t size_of(std::int64_t block) const {
        const std::int64_t left = args_.tiles - block * args_.block;
        return left < args_.block ? left : args_.block;
    }

    static constexpr int kChunk = 4 * L;  // channels that are staged at a time
    struct Stage {
        alignas(64) T pixels[A * A * kChunk];
    };

    // Where a tile reads: x itself, or `stage` (whose zeros outside the image are written here).
    Source source_of(std::int64_t group, const Place& place, Stage& stage) const {
        const std::int64_t h = place.h - args_.pad_top, w = place.w - args_.pad_left;
        const T* x =
            static_cast<const T*>(views_.x) + group * args_.c + place.n * views_.x_n + h * views_.x_h + w * views_.x_w;
        Source source{x, views_.x_h, views_.x_w, false, {}};
        if (h >= 0 && h + A <= args_.h && w >= 0 && w + A <= args_.w) return source;
        clip_span(h, A, args_.h, source.clip.row, source.clip.rows);
        clip_span(w, A, args_.w, source.clip.column, source.clip.columns);
        source.staged = true;
        for (int i = 0; i < A * A * kChunk; i += L) store(stage.pixels + i, Vec<T>{});
        return source;
    }

    // Channels [c, c + count) of what is in the image, into `stage`, in whole vectors.
    void fill(const Source& source, std::int64_t c, std::int64_t count, Stage& stage) const {
        const int tail = static_cast<int>(count % L);
        const std::int64_t whole = count - tail;
        for (std::int64_t i = source.clip.row; i < source.clip.row + source.clip.rows; ++i) {
            const T* from = source.x + c + i * source.row + source.clip.column * source.column;
            T* to = stage.pixels + (i * A + source.clip.column) * kChunk;
            for (std::int64_t j = source.clip.columns; j > 0; --j, from += source.column, to += kChunk) {
                if (whole == kChunk) {
                    unroll<kChunk / L>([&](auto v) THEW_FLAT { store(to + v * L, load(from + v * L)); });
                    continue;
                }
                for (std::int64_t n = 0; n < whole; n += L) store(to + n, load(from + n));
                if (tail > 0) store(to + whole, load_partial(from + whole, tail));
            }
        }
    }

    // Channels [c, c + count) of one tile; whole vectors are written, channels past `count` as zeros.
    void transform_one(const Source& source, std::int64_t c, std::int64_t count, Stage& stage, T* v) const {
        constexpr std::int64_t kStep = kPanels ? A * A : 1;  // elements of v a channel
        const std::int64_t direct = source.staged ? 0 : count / L * L;
        if (direct > 0) {
            transform_input<T, A, kPanels>(source.x + c, source.row, source.column, direct, v, args_.a_point);
        }
        for (std::int64_t done = direct; done < count; done += kChunk) {
            const std::int64_t part = count - done < kChunk ? count - done : kChunk;
            Source whole = source;
            if (!source.staged) whole.clip = {0, A, 0, A};
            fill(whole, c + done, part, stage);
            transform_input<T, A, kPanels>(stage.pixels, A * kChunk, kChunk, round_to(part, L), v + done * kStep,
                                           args_.a_point);
        }
    }

public:
    WinogradBlocks(const WinogradArgs& args, const WinogradViews& views) : args_(args), views_(views) {}

    // Transforms one panel's tiles of a block into v, the block's packed rows.
    void transform(std::int64_t group, std::int64_t block, std::int64_t panel, T* v) const {
        enter_phase(Phase::transform);
        const std::int64_t panels = panels_of(block), least = size_of(block) / panels, higher = size_of(block) % panels;
        const int height = static_cast<int>(least + (panel < higher));
        const std::int64_t row = panel * least + (panel < higher ? panel : higher), first = block * args_.block + row;
        T* to = v + (kPanels ? panel * Tiles::kRows : row) * args_.a_row;
        Stage stage[kTogether];
        Place place = place_of(first);
        if constexpr (!kPanels) {
            for (int i = 0; i < height; ++i, to += args_.a_row, advance(place)) {
                transform_one(source_of(group, place, stage[0]), 0, args_.c, stage[0], to);
            }
        } else {
            for (int at = 0; at < height; at += L, to += L * L) {
                Source sources[L];
                const int count = height - at < L ? height - at : L;
                for (int l = 0; l < count; ++l, advance(place)) sources[l] = source_of(group, place, stage[l]);
                transform_together(sources, count, stage, to);
            }
        }
        enter_phase(Phase::compute);
    }

    // Panels of rows; their heights differ by at most one.
    std::int64_t panels_of(std::int64_t block) const { return (size_of(block) + Tiles::kRows - 1) / Tiles::kRows; }

    // One panel of output channels of a block: products into z, then outputs.
    void multiply(std::int64_t group, std::int64_t block, std::int64_t column_panel, T* v, T* z) const {
        const std::int64_t o = column_panel * kPanel, left = args_.oc - o, columns = left < kPanel ? left : kPanel;
        const int vectors = static_cast<int>((columns + L - 1) / L);
        const std::int64_t tiles = size_of(block), depth = round_to(args_.c, Tiles::kDepthMultiple);
        const std::int64_t panels = panels_of(block), least = tiles / panels, higher = tiles % panels;
        const T* u =
            static_cast<const T*>(args_.packed) + group * args_.packed_item + column_panel * args_.packed_panel;
        for (int point = 0; point < A * A; ++point) {
            const T* next = u + depth * vectors * L;  // asked for while this one is multiplied
            const char* asked = reinterpret_cast<const char*>(next + depth * vectors * L);
            Ahead ahead{reinterpret_cast<const char*>(next), kAheadBytes};
            const T* a = v + point * args_.a_point;
            T* c = z + point * kPanel;
            for (std::int64_t panel = 0; panel < panels; ++panel) {
                const std::int64_t height = least + (panel < higher);
                kProducts.of[height - 1][vectors - 1](a, kPanels ? 1 : args_.a_row, u, depth, ahead, c, args_.c_row);
                a += (kPanels ? Tiles::kRows : height) * args_.a_row;
                c += height * args_.c_row;
                ahead.at += depth / 4 * ahead.step;
                if (ahead.at >= asked) ahead.step = 0;
            }
            u = next;
        }
        enter_phase(Phase::transform);
        write(group, block, o, columns, z);
        enter_phase(Phase::compute);
    }

private:
    // L tiles side by side in the packed vectors: transformed one by one, then interleaved, some channels at a time.
    void transform_together(const Source (&sources)[kTogether], int count, Stage (&stage)[kTogether], T* to) const {
        static_assert(A * A % 2 == 0);  // points are interleaved in pairs
        alignas(64) T results[kTogether][A * A * kChunk];
        for (std::int64_t c = 0; c < args_.c; c += kChunk) {
            const std::int64_t channels = args_.c - c < kChunk ? args_.c - c : kChunk;
            for (int l = 0; l < count; ++l) transform_one(sources[l], c, channels, stage[l], results[l]);
            for (std::int64_t done = 0; done < channels; done += L) {
                const T* rows[kTogether];  // past the last tile: that one again, which no product reads
                for (int l = 0; l < kTogether; ++l) rows[l] = results[l < count ? l : count - 1] + done * A * A;
                T* packed = to + (c + done) * Tiles::kRows;
                for (int pair = A * A / 2; pair > 0; --pair) {
                    Interleave<T>::copy(rows, packed, args_.a_point * static_cast<std::int64_t>(sizeof(T)));
                }
            }
        }
    }

    // Outputs of a block's tiles from their products.
    void write(std::int64_t group, std::int64_t block, std::int64_t o, std::int64_t columns, const T* z) const {
        const std::int64_t channel = group * args_.oc + o;
        OutputTile<T> to{};
        to.y_h = views_.y_h, to.y_w = views_.y_w;
        to.r_h = views_.r_h, to.r_w = views_.r_w;
        to.bias = static_cast<const T*>(views_.bias) + group * round_to(args_.oc, kPanel) + o;
        to.activation = args_.epilogue.activation;
        to.low = to.activation == Activation::relu ? T{0} : static_cast<T>(args_.epilogue.p0);
        to.high = static_cast<T>(args_.epilogue.p1);
        Place place = place_of(block * args_.block);
        for (std::int64_t tile = size_of(block); tile > 0; --tile, advance(place), z += args_.c_row) {
            to.y = static_cast<T*>(views_.y) + place.n * views_.y_n + place.h * views_.y_h + place.w * views_.y_w +
                   channel;
            if (views_.residual) {
                to.residual = static_cast<const T*>(views_.residual) + place.n * views_.r_n + place.h * views_.r_h +
                              place.w * views_.r_w + channel;
            }
            const bool whole = place.h + M <= args_.oh && place.w + M <= args_.ow;
            const std::int64_t direct = whole ? columns / L * L : 0;
            if (direct > 0) {
                transform_output<T, M, R, kPanel>(z, to, direct);
                if (to.activation > Activation::clip) activate_tile(to, {0, M, 0, M}, direct);
            }
            if (direct < columns) write_staged(to, place, z, direct, columns);
        }
    }

    // Channels [first, last) through a staged tile of outputs and residuals, a vector at a time.
    void write_staged(const OutputTile<T>& to, const Place& place, const T* z, std::int64_t first,
                      std::int64_t last) const {
        alignas(64) T outputs[M * M * L], residuals[M * M * L] = {};
        Clip clip{0, 0, 0, 0};
        clip_span(place.h, M, args_.oh, clip.row, clip.rows);
        clip_span(place.w, M, args_.ow, clip.column, clip.columns);
        OutputTile<T> staged = to;
        staged.y = outputs, staged.y_h = M * L, staged.y_w = L;
        if (to.residual) staged.residual = residuals, staged.r_h = M * L, staged.r_w = L;
        for (std::int64_t o = first; o < last; o += L) {
            const int count = static_cast<int>(last - o < L ? last - o : L);
            for (std::int64_t pixel = 0; to.residual && pixel < clip.rows * clip.columns; ++pixel) {
                const std::int64_t i = pixel / clip.columns, j = pixel % clip.columns;
                store(residuals + (i * M + j) * L, load_partial(to.residual + o + i * to.r_h + j * to.r_w, count));
            }
            staged.bias = to.bias + o;
            transform_output<T, M, R, kPanel>(z + o, staged, L);
            if (to.activation > Activation::clip) activate_tile(staged, {0, M, 0, M}, L);
            for (std::int64_t i = 0; i < clip.rows; ++i) {
                for (std::int64_t j = 0; j < clip.columns; ++j) {
                    store_partial(to.y + o + i * to.y_h + j * to.y_w, load(outputs + (i * M + j) * L), count);
                }
            }
        }
    }

    // Activations beyond a clip, over the tile just stored.
    __attribute__((noinline)) void activate_tile(const OutputTile<T>& at, const Clip& clip, std::int64_t count) const {
        const T p0 = static_cast<T>(args_.epilogue.p0), p1 = static_cast<T>(args_.epilogue.p1);
        for (std::int64_t i = 0; i < clip.rows; ++i) {
            for (std::int64_t j = 0; j < clip.columns; ++j) {
                T* y = at.y + i * at.y_h + j * at.y_w;
                for (std::int64_t o = 0; o < count; o += L) {
                    store(y + o, activate<T>(at.activation, load(y + o), p0, p1));
                }
            }
        }
    }

    static constexpr ProductKernels<T, Tiles> kProducts{};
};

template <class T, class Tiles, int M, int R>
void run_winograd(const WinogradArgs& args, const WinogradViews& views, const Workers& workers, std::byte* scratch) {
    const WinogradBlocks<T, Tiles, M, R> blocks(args, views);
    const std::int64_t count = (args.tiles + args.block - 1) / args.block;
    const std::int64_t column_panels = (args.oc + Tiles::kPanel - 1) / Tiles::kPanel;
    T* v = reinterpret_cast<T*>(scratch);
    T* z = v + (args.together > 0 ? args.together : workers.count) * args.a_block;
    const std::int64_t z_block = args.block * args.c_row;
    if (args.together == 0) {
        auto body = [&](std::int64_t task, int worker) {
            const std::int64_t group = task / count, block = task % count;
            T* own = v + worker * args.a_block;
            const std::int64_t panels = blocks.panels_of(block);
            for (std::int64_t panel = 0; panel < panels; ++panel) blocks.transform(group, block, panel, own);
            for (std::int64_t panel = 0; panel < column_panels; ++panel) {
                blocks.multiply(group, block, panel, own, z + worker * z_block);
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
            if (panel < blocks.panels_of(block)) blocks.transform(group, block, panel, v + at * args.a_block);
        };
        parallel_for(workers, now * row_panels, transform);
        auto multiply = [&](std::int64_t part, int worker) {
            const std::int64_t at = part / column_panels, panel = part % column_panels;
            const std::int64_t group = (task + at) / count, block = (task + at) % count;
            blocks.multiply(group, block, panel, v + at * args.a_block, z + worker * z_block);
        };
        parallel_for(workers, now * column_panels, multiply);
    }
}

}  // namespace
}  // namespace thew
