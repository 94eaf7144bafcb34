// Pictures of 8 bits on their way into a batch: augmented, normalised, as fp32.
//
//   out[c][y][x] = p · factor[c] + shift[c],   p = the picture's byte that the augmentations bring to (y, x), or 0
//
// with the product rounded before the sum. What the k-th augmentation does to a picture is drawn from the block with
// counter (number low, number high, epoch, k) under the key (seed low, seed high): a function of seed, epoch and number
// alone. `thew.data.augment` is the same in NumPy.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace thew {

struct Pictures {  // (count, c, h, w) in C order
    const std::uint8_t* bytes;
    std::int64_t count, c, h, w;

    std::int64_t picture_size() const { return c * h * w; }
};

enum class Change {
    kFlip,    // from left to right, where word 0 is odd
    kCrop,    // (y, x) takes what was at (y + word 0 mod (2 extent + 1) - extent, x + the same of word 1)
    kCutout,  // black where 2 |y - word 0 mod h| < extent and 2 |x - word 1 mod w| < extent
};

struct Augmentation {
    Change change;
    std::int64_t extent;
};

struct Preparation {
    std::vector<float> factor, shift;  // one a channel
    std::vector<Augmentation> augmentations;
    std::uint64_t seed;
};

Change change_from_name(const std::string& name);  // "flip", "crop", "cutout"; throws Error for others

// Throws Error for a preparation that does not fit the pictures.
void check_preparation(const Pictures& pictures, const Preparation& preparation);

// Writes picture_size() numbers to `out`.
void prepare_picture(const Pictures& pictures, const Preparation& preparation, std::int64_t number, std::uint32_t epoch,
                     float* out);

}  // namespace thew
