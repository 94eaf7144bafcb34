// The gradient of weights: tiles of x and dy transformed into packed operands, a² products over the tiles a panel of
// channels and a few panels of output channels, and their sums transformed straight into dw. Where tiles are taken in
// several blocks, sums wait between them. Sums over tiles run in one order, whatever the number of workers.
//
// Scratch: [x: column panels × points × x_point][dy: row panels × points × dy_point][sums].
#pragma once

#include "base/phase.hpp"
#include "kernels/matmul/pack_columns.hpp"
#include "kernels/winograd/gradient_transform.hpp"
#include "kernels/winograd/product.hpp"
#include "kernels/winograd/reader.hpp"
#include "simd/transpose.hpp"

namespace thew {
namespace {

template <class Memory, class Tiles, int M, int R>
class WeightGradient {
    using T = Wide<Memory>;
    static constexpr int A = M + R - 1, L = kLanes<T>, kPoints = A * A, kTaps = R * R;
    static constexpr int kPanel = Tiles::kPanel, kPitch = kColumnPitch<Tiles>;
    static constexpr bool kInterleaved = Tiles::Multiply::kPanels;  // L tiles of each vector of rows lie together
    using XReader = TileReader<Memory, A, kPanel>;
    using DyReader = TileReader<Memory, M, L>;

    // Tiles [first, first + count) as k of the products, `depth` of them with zeros.
    struct Block {
        std::int64_t first, count, depth;
    };

    const WinogradGradArgs& args_;
    const WinogradGradViews& views_;
    const Places<M> places_;
    const Panels rows_;
    const std::int64_t columns_;  // panels
    T *x_, *dy_, *sums_;

    std::int64_t width_of(std::int64_t column_panel) const {
        const std::int64_t left = args_.c - column_panel * kPanel;
        return left < kPanel ? left : kPanel;
    }
    Block block_of(std::int64_t index) const {
        const std::int64_t first = index * args_.depth, left = args_.tiles - first;
        const std::int64_t count = left < args_.depth ? left : args_.depth;
        return {first, count, round_to(count, Tiles::kDepthMultiple)};
    }
    std::int64_t x_panel() const { return kPoints * args_.x_point; }
    std::int64_t dy_panel() const { return kPoints * args_.dy_point; }

    XReader x_of(std::int64_t group) const {
        return XReader({static_cast<const Memory*>(views_.x) + group * args_.c, views_.x_n, views_.x_h, views_.x_w,
                        args_.h, args_.w, args_.pad_top, args_.pad_left});
    }
    DyReader dy_of(std::int64_t group) const {
        return DyReader({static_cast<const Memory*>(views_.dy) + group * args_.oc, views_.dy_n, views_.dy_h,
                         views_.dy_w, args_.oh, args_.ow, 0, 0});
    }

    // Part `part` of `parts` of the memory that holds the tiles of a block.
    template <class Reader>
    AheadTo ahead_of(const Reader& reader, const Block& block, std::int64_t part, std::int64_t parts) const {
        return ahead_of_part(reader.first(places_.at(block.first)),
                             reader.last(places_.at(block.first + block.count - 1)), part, parts);
    }

    // Tile `k` of a block of x as rows of the packed panels of columns.
    void transform_x(const XReader& reader, const typename XReader::Source* source, std::int64_t k,
                     typename XReader::Stage& stage) const {
        for (std::int64_t panel = 0; panel < columns_; ++panel) {
            const std::int64_t columns = width_of(panel), width = round_to(columns, L), point = args_.x_point;
            T* to = x_ + panel * x_panel() + k * width;
            if (source == nullptr) {
                for (int p = 0; p < kPoints; ++p) {
                    for (std::int64_t i = 0; i < width; i += L) store(to + p * point + i, Vec<T>{});
                }
                continue;
            }
            const std::int64_t c = panel * kPanel, direct = source->staged ? 0 : columns / L * L;
            if (direct > 0) {
                transform_input<Memory, A, false>(source->data + c, source->row, source->column, direct, to, point);
            }
            if (direct == columns) continue;
            reader.fill(*source, c + direct, columns - direct, stage);
            transform_input<T, A, false>(stage.pixels, A * kPanel, kPanel, width - direct, to + direct, point);
        }
    }

    // The same of dy, a vector of rows at a time; the vectors of a panel may reach into the next one's rows.
    void transform_dy(const DyReader& reader, const typename DyReader::Source* source, std::int64_t k,
                      typename DyReader::Stage& stage) const {
        const std::int64_t point = args_.dy_point;
        const std::int64_t at = kInterleaved ? k / L * L * kPitch + k % L * L : k * kPitch;
        for (std::int64_t panel = 0; panel < rows_.count; ++panel) {
            for (std::int64_t row = 0; row < rows_.height(panel); row += L) {
                T* to = dy_ + panel * dy_panel() + at + (kInterleaved ? row * L : row);
                const std::int64_t o = rows_.row(panel) + row, left = args_.oc - o, count = left < L ? left : L;
                if (source == nullptr) {
                    for (int p = 0; p < kPoints; ++p) store(to + p * point, Vec<T>{});
                } else if (source->staged || count < L) {
                    reader.fill(*source, o, count, stage);
                    transform_gradient<T, M, R>(stage.pixels, M * L, L, to, point);
                } else {
                    transform_gradient<Memory, M, R>(source->data + o, source->row, source->column, to, point);
                }
            }
        }
    }

public:
    WeightGradient(const WinogradGradArgs& args, const WinogradGradViews& views, std::byte* scratch)
        : args_(args),
          views_(views),
          places_(args.tiles_h, args.tiles_w),
          rows_(args.oc, Tiles::kRows, Tiles::kTogether),
          columns_((args.c + kPanel - 1) / kPanel),
          x_(reinterpret_cast<T*>(scratch)),
          dy_(x_ + columns_ * x_panel()),
          sums_(dy_ + rows_.count * dy_panel()) {}

    std::int64_t row_panels() const { return rows_.count; }
    std::int64_t column_panels() const { return columns_; }

    // Tiles [k0, k1) of a block; those beyond its last are zeros.
    void transform(std::int64_t group, std::int64_t index, std::int64_t k0, std::int64_t k1) const {
        const Block block = block_of(index);
        if (k0 >= block.depth) return;
        const XReader x = x_of(group);
        const DyReader dy = dy_of(group);
        enter_phase(Phase::transform);
        typename XReader::Stage x_stage;
        typename DyReader::Stage dy_stage;
        Place place = places_.at(block.first + k0);
        for (std::int64_t k = k0; k < k1 && k < block.depth; ++k, places_.advance(place)) {
            if (k < block.count) {
                const auto x_source = x.source(place, x_stage);
                transform_x(x, &x_source, k, x_stage);
                const auto dy_source = dy.source(place, dy_stage);
                transform_dy(dy, &dy_source, k, dy_stage);
            } else {
                transform_x(x, nullptr, k, x_stage);
                transform_dy(dy, nullptr, k, dy_stage);
            }
        }
        enter_phase(Phase::compute);
    }

    // Products of a panel of columns with panels [first, last) of rows; after the last block their sums become dw.
    // Meanwhile a task asks for its part of what is transformed next, or where transformed tiles come from afar, for
    // those of the next point.
    __attribute__((noinline)) void multiply(std::int64_t group, std::int64_t index, std::int64_t task,
                                            std::int64_t tasks, int worker) const {
        const Block block = block_of(index);
        const std::int64_t column_panel = task / tasks, first = task % tasks * args_.task_panels;
        const std::int64_t last = first + args_.task_panels < rows_.count ? first + args_.task_panels : rows_.count;
        const bool near = args_.near && index + 1 < args_.blocks;
        AheadOfTwo ahead{};
        if (near) {
            const Block next = block_of(index + 1);
            ahead = {ahead_of(x_of(group), next, task, columns_ * tasks),
                     ahead_of(dy_of(group), next, task, columns_ * tasks)};
        }
        const std::int64_t columns = width_of(column_panel), width = round_to(columns, L);
        const std::int64_t row = rows_.row(first), b_point = args_.x_point, a_point = args_.dy_point;
        T* z = sums_ + (args_.blocks > 1 ? column_panel * args_.oc + row : worker * args_.task_rows) * args_.z_row;
        const T* b = x_ + column_panel * x_panel();
        for (int point = 0; point < kPoints; ++point, b += b_point) {
            if (!near) {
                ahead.first = ahead_of_part(b + b_point, b + 2 * b_point, 0, 1);
                ahead.second = {{reinterpret_cast<const char*>(b), 0}, nullptr};
            }
            T* c = z + point * kPanel;
            for (std::int64_t panel = first; panel < last; ++panel) {
                const int height = rows_.height(panel);
                const T* a = dy_ + panel * dy_panel() + point * a_point;
                const ProductPanels<T> of{a, 1, 0, 1, b, block.depth, c, args_.z_row, 0, index > 0};
                kProducts.multiply(height, static_cast<int>(width / L), of, ahead.now());
                c += height * args_.z_row;
            }
        }
        if (index + 1 < args_.blocks) return;
        enter_phase(Phase::transform);
        for (std::int64_t o = row; o < rows_.row(last); ++o, z += args_.z_row) {
            Memory* dw = static_cast<Memory*>(views_.dw) + (group * args_.oc + o) * args_.dw[0];
            for (std::int64_t c = 0; c < columns; c += L) {
                Vec<T> taps[kTaps];
                transform_sums<T, M, R, kPanel>(z + c, taps);
                write(taps, dw + (column_panel * kPanel + c) * args_.dw[1], columns - c < L ? columns - c : L);
            }
        }
        enter_phase(Phase::compute);
    }

private:
    // A vector of channels into dw: as it is where they lie side by side, else with each channel's taps together.
    void write(const Vec<T> (&taps)[kTaps], Memory* to, std::int64_t count) const {
        count = count < L ? count : L;  // as it is: said for the compiler, which warns of what is past a vector
        if (args_.dw[1] == 1) {
            for (int tap = 0; tap < kTaps; ++tap) {
                Memory* at = to + tap / R * args_.dw[2] + tap % R * args_.dw[3];
                store_narrowed_partial(at, taps[tap], static_cast<int>(count));
            }
            return;
        }
        T turned[L * kTaps + L] = {};
        turn(taps, turned);
        if (args_.dw[1] == kTaps && args_.dw[2] == R && args_.dw[3] == 1) {
            std::int64_t i = 0;
            for (; i + L <= count * kTaps; i += L) store_narrowed(to + i, load(turned + i));
            const std::int64_t left = count * kTaps - i;
            store_narrowed_partial(to + i, load(turned + i), static_cast<int>(left < L ? left : L));
            return;
        }
        for (std::int64_t i = 0; i < count * kTaps; ++i) {
            const std::int64_t tap = i % kTaps;
            Memory* at = to + i / kTaps * args_.dw[1] + tap / R * args_.dw[2] + tap % R * args_.dw[3];
            *at = narrow_to<Memory>(turned[i]);
        }
    }

    // to[channel · kTaps + tap]: square tiles, the last taps' first, since what is past them lies over the next
    // channel's first.
    static void turn(const Vec<T> (&taps)[kTaps], T* to) {
        constexpr int kGroups = (kTaps + L - 1) / L;
        unroll<kGroups>([&](auto n) THEW_FLAT {
            constexpr int kFirst = (kGroups - 1 - n) * L;
            typename Tile<T>::V v[L];
            unroll<L>([&](auto i) THEW_FLAT {
                if constexpr (kFirst + i < kTaps) {
                    v[i] = taps[kFirst + i];
                } else {
                    v[i] = Vec<T>{};
                }
            });
            Tile<T>::turn(v);
            unroll<L>([&](auto i) THEW_FLAT { store(to + i * kTaps + kFirst, v[i]); });
        });
    }

    static constexpr ProductKernels<T, Tiles, kPitch, 0> kProducts{};
};

template <class Memory, class Tiles, int M, int R>
void run_weight_gradient(const WinogradGradArgs& args, const WinogradGradViews& views, const Workers& workers,
                         std::byte* scratch) {
    constexpr std::int64_t kTilesOfTask = 4;
    const WeightGradient<Memory, Tiles, M, R> gradient(args, views, scratch);
    const std::int64_t parts = (args.depth + kTilesOfTask - 1) / kTilesOfTask;
    const std::int64_t tasks = (gradient.row_panels() + args.task_panels - 1) / args.task_panels;
    for (std::int64_t group = 0; group < args.group; ++group) {
        for (std::int64_t block = 0; block < args.blocks; ++block) {
            auto transform = [&](std::int64_t task, int) {
                gradient.transform(group, block, task * kTilesOfTask, (task + 1) * kTilesOfTask);
            };
            parallel_for(workers, parts, transform);
            auto multiply = [&](std::int64_t task, int worker) {
                gradient.multiply(group, block, task, tasks, worker);
            };
            parallel_for(workers, gradient.column_panels() * tasks, multiply);
        }
    }
}

}  // namespace
}  // namespace thew
