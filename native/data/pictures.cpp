// Every augmentation maps pixels to pixels along the axes, so that all of them together are one shift of rows, one
// shift or mirroring of columns, and rectangles that are black. They are composed first, from the last one to the
// first, and applied in one pass over the picture.
#include "data/pictures.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "data/philox.hpp"

namespace thew {
namespace {

constexpr std::int64_t kMostExtent = std::int64_t{1} << 20;  // of a side or an augmentation: sums of few stay exact

// Positions of one axis: position p takes what was at sign · p + offset, for first ≤ p < last; elsewhere it is black.
struct Axis {
    std::int64_t extent, first, last, sign, offset;

    explicit Axis(std::int64_t size) : extent(size), first(0), last(size), sign(1), offset(0) {}

    void mirror() {
        sign = -sign;
        offset = extent - 1 - offset;
    }
    void move(std::int64_t by) {
        offset += by;
        const Axis inside = of(0, extent);
        first = std::max(first, inside.first);
        last = std::min(last, inside.last);
    }
    // The positions that take what was at begin … end - 1.
    Axis of(std::int64_t begin, std::int64_t end) const {
        Axis part = *this;
        part.first = sign > 0 ? begin - offset : offset - end + 1;
        part.last = sign > 0 ? end - offset : offset - begin + 1;
        return part;
    }
    bool holds(std::int64_t position) const { return first <= position && position < last; }
};

struct Hole {
    Axis rows, columns;
};

struct Placement {
    Axis rows, columns;
    std::vector<Hole> holes;
};

Placement place(const Pictures& pictures, const Preparation& preparation, std::int64_t number, std::uint32_t epoch) {
    Placement found{Axis(pictures.h), Axis(pictures.w), {}};
    const auto key = preparation.seed;
    for (std::size_t i = preparation.augmentations.size(); i-- > 0;) {
        const auto [change, extent] = preparation.augmentations[i];
        const Words words = philox({static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(number >> 32), epoch,
                                    static_cast<std::uint32_t>(i)},
                                   static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32));
        const auto drawn = [&](int word, std::int64_t among) { return static_cast<std::int64_t>(words[word]) % among; };
        if (change == Change::kFlip) {
            if ((words[0] & 1) != 0) found.columns.mirror();
        } else if (change == Change::kCrop) {
            found.rows.move(drawn(0, 2 * extent + 1) - extent);
            found.columns.move((drawn(1, 2 * extent + 1) - extent));
        } else if (extent > 0) {
            const std::int64_t row = drawn(0, pictures.h), column = drawn(1, pictures.w), reach = (extent - 1) / 2;
            found.holes.push_back(
                {found.rows.of(row - reach, row + reach + 1), found.columns.of(column - reach, column + reach + 1)});
        }
    }
    return found;
}

void write_row(const std::uint8_t* __restrict in, const Axis columns, float factor, float shift,
               float* __restrict out) {
    const std::int64_t first = std::clamp(columns.first, std::int64_t{0}, columns.extent);
    const std::int64_t last = std::clamp(columns.last, first, columns.extent);
    std::fill(out, out + first, shift);
    if (columns.sign > 0) {
        for (std::int64_t x = first; x < last; ++x)
            out[x] = static_cast<float>(in[x + columns.offset]) * factor + shift;
    } else {
        for (std::int64_t x = first; x < last; ++x)
            out[x] = static_cast<float>(in[columns.offset - x]) * factor + shift;
    }
    std::fill(out + last, out + columns.extent, shift);
}

}  // namespace

Change change_from_name(const std::string& name) {
    if (name == "flip") return Change::kFlip;
    if (name == "crop") return Change::kCrop;
    if (name == "cutout") return Change::kCutout;
    throw Error("augmentation: must be flip, crop or cutout, got '" + name + "'");
}

void check_preparation(const Pictures& pictures, const Preparation& preparation) {
    const auto c = static_cast<std::size_t>(pictures.c);
    require(preparation.factor.size() == c && preparation.shift.size() == c,
            "data: mean and deviation must have one number for each of " + std::to_string(c) + " channels, got " +
                std::to_string(preparation.factor.size()) + " and " + std::to_string(preparation.shift.size()));
    require(pictures.h <= kMostExtent && pictures.w <= kMostExtent,
            "data: pictures must have at most 2^20 rows and columns, got " + std::to_string(pictures.h) + " and " +
                std::to_string(pictures.w));
    for (const Augmentation& augmentation : preparation.augmentations) {
        require(0 <= augmentation.extent && augmentation.extent <= kMostExtent,
                "augmentation: its extent must be 0 to 2^20 pixels, got " + std::to_string(augmentation.extent));
    }
}

void prepare_picture(const Pictures& pictures, const Preparation& preparation, std::int64_t number, std::uint32_t epoch,
                     float* out) {
    const Placement placed = place(pictures, preparation, number, epoch);
    const std::uint8_t* picture = pictures.bytes + number * pictures.picture_size();
    for (std::int64_t c = 0; c < pictures.c; ++c) {
        const float factor = preparation.factor[static_cast<std::size_t>(c)];
        const float shift = preparation.shift[static_cast<std::size_t>(c)];
        const std::uint8_t* plane = picture + c * pictures.h * pictures.w;
        for (std::int64_t y = 0; y < pictures.h; ++y, out += pictures.w) {
            if (!placed.rows.holds(y)) {
                std::fill(out, out + pictures.w, shift);
                continue;
            }
            write_row(plane + (y + placed.rows.offset) * pictures.w, placed.columns, factor, shift, out);
            for (const Hole& hole : placed.holes) {
                if (!hole.rows.holds(y)) continue;
                const std::int64_t first = std::clamp(hole.columns.first, std::int64_t{0}, pictures.w);
                const std::int64_t last = std::clamp(hole.columns.last, first, pictures.w);
                std::fill(out + first, out + last, shift);
            }
        }
    }
}

}  // namespace thew
