// The copy of im2col: rows of the window are one run of memory where x has its channels side by side.
#include <cstring>

#include "kernels/im2col/contract.hpp"

namespace thew {
namespace {

// `pixels` pixels from `from` on, `step` bytes apart, each with its channels; returns where the next one goes.
std::byte* copy_pixels(const Unfolding& at, const std::byte* from, std::int64_t pixels, std::int64_t step,
                       std::byte* to) {
    const std::int64_t channels = at.x.shape[1], pixel_bytes = channels * at.element_bytes;
    const bool dense = channels == 1 || at.x.stride[1] == 1;
    if (dense && step == pixel_bytes) {
        std::memcpy(to, from, static_cast<std::size_t>(pixels * pixel_bytes));
        return to + pixels * pixel_bytes;
    }
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel, from += step) {
        if (dense) std::memcpy(to, from, static_cast<std::size_t>(pixel_bytes));
        for (std::int64_t c = 0; !dense && c < channels; ++c) {
            std::memcpy(to + c * at.element_bytes, from + c * at.x.stride[1] * at.element_bytes,
                        static_cast<std::size_t>(at.element_bytes));
        }
        to += pixel_bytes;
    }
    return to;
}

std::byte* zero_pixels(const Unfolding& at, std::int64_t pixels, std::byte* to) {
    const std::int64_t bytes = pixels * at.x.shape[1] * at.element_bytes;
    std::memset(to, 0, static_cast<std::size_t>(bytes));
    return to + bytes;
}

// Taps [first, last) of a row of the window whose pixels, from column w on and `dilation` apart, lie in the image.
void taps_inside(const Unfolding& at, std::int64_t w, std::int64_t& first, std::int64_t& last) {
    const std::int64_t dilation = at.window.dilation[1], taps = at.window.kernel[1], left = at.x.shape[3] - w;
    first = w < 0 ? std::min((-w + dilation - 1) / dilation, taps) : 0;
    last = left <= 0 ? first : std::max(std::min((left + dilation - 1) / dilation, taps), first);
}

}  // namespace

void unfold(const Unfolding& at, const std::byte* x, std::byte* a, const Workers& workers) {
    const Window2d& window = at.window;
    const std::int64_t row_bytes = at.depth() * at.element_bytes;
    auto body = [&](std::int64_t task, int) {  // one row of outputs
        const std::int64_t n = task / at.oh, top = task % at.oh * window.stride[0] - window.pad[0];
        std::byte* to = a + task * at.ow * row_bytes;
        for (std::int64_t j = 0; j < at.ow; ++j) {
            const std::int64_t left = j * window.stride[1] - window.pad[1];
            std::int64_t first, last;
            taps_inside(at, left, first, last);
            for (std::int64_t tap = 0; tap < window.kernel[0]; ++tap) {
                const std::int64_t h = top + tap * window.dilation[0];
                if (h < 0 || h >= at.x.shape[2]) {
                    to = zero_pixels(at, window.kernel[1], to);
                    continue;
                }
                const std::int64_t w = left + first * window.dilation[1];
                const std::int64_t offset = n * at.x.stride[0] + h * at.x.stride[2] + w * at.x.stride[3];
                to = zero_pixels(at, first, to);
                to = copy_pixels(at, x + offset * at.element_bytes, last - first,
                                 window.dilation[1] * at.x.stride[3] * at.element_bytes, to);
                to = zero_pixels(at, window.kernel[1] - last, to);
            }
        }
    };
    parallel_for(workers, at.x.shape[0] * at.oh, body);
}

}  // namespace thew
