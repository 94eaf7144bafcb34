// What matmul and conv steps share: b packed at make() or per run, scratch laid out, the product run. Plan side only.
//
// Scratch: [packed b, where b is not constant][bias, where its elements are apart][sums kept][packed a].
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/aligned.hpp"
#include "kernels/activation_parse.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/matmul/blocking.hpp"
#include "kernels/scalar.hpp"

namespace thew {

using PackB = void (*)(const UnpackedB& b, std::int64_t first_panel, std::int64_t last_panel, void* packed);

// b of every item: `view.data` is filled in when the data is known.
struct TrunkB {
    UnpackedB view{};
    Walk item{};                           // extents of the items
    std::int64_t item_stride[kMaxRank]{};  // elements of unpacked b
    PackB pack = nullptr;
    std::int64_t panel = 0, item_elements = 0;  // of packed b
};

inline std::int64_t items_of(const Walk& item) {
    std::int64_t items = 1;
    for (int d = 0; d < item.rank; ++d) items *= item.extent[d];
    return items;
}

inline void pack_items(const TrunkB& b, const void* data, std::size_t element_bytes, const Workers& workers,
                       void* packed) {
    constexpr std::int64_t kTogether = 4;  // panels a task, as pack_b likes them
    const std::int64_t panels = ceil_div(b.view.n, b.panel), groups = ceil_div(panels, kTogether);
    auto body = [&](std::int64_t task, int) {
        std::int64_t offset = 0, rest = task / groups;
        const std::int64_t item = rest, first = task % groups * kTogether;
        for (int d = b.item.rank - 1; d >= 0; --d) {
            offset += rest % b.item.extent[d] * b.item_stride[d];
            rest /= b.item.extent[d];
        }
        UnpackedB view = b.view;
        view.data = static_cast<const std::byte*>(data) + offset * static_cast<std::int64_t>(element_bytes);
        std::byte* to =
            static_cast<std::byte*>(packed) + item * b.item_elements * static_cast<std::int64_t>(element_bytes);
        b.pack(view, first, std::min(first + kTogether, panels), to);
    };
    parallel_for(workers, items_of(b.item) * groups, body);
}

// How many elements of a bias must be gathered, or widened, at each run: all of n or none.
inline std::int64_t bias_to_gather(const Tensor& bias, std::int64_t stride, std::int64_t n) {
    return (n > 1 && stride != 1) || bias.dtype != wide_dtype(bias.dtype) ? n : 0;
}

inline void require_bias_dtype(const StepDesc& desc, const Tensor& bias, DType memory) {
    if (bias.dtype != wide_dtype(memory)) require_dtype(desc, bias, memory, "bias");
}

// Scratch and packed weights of a step on the trunk.
class TrunkMemory {
public:
    TrunkMemory() = default;
    TrunkMemory(const Product& product, const TrunkB& b, const TileShape& tile, int threads, bool b_is_constant,
                std::int64_t bias_elements)
        : b_is_constant_(b_is_constant), element_bytes_(static_cast<std::size_t>(tile.element_bytes)) {
        const auto elements = static_cast<std::size_t>(items_of(b.item) * b.item_elements);
        b_bytes_ = checked_bytes(elements, element_bytes_);
        wide_bytes_ = tile.keeps_sums ? sizeof(float) : element_bytes_;
        bias_bytes_ = checked_bytes(static_cast<std::size_t>(bias_elements), wide_bytes_);
        a_bytes_ = checked_bytes(kept_sums_bytes(product, tile, threads) + packed_a_bytes(product, tile, threads));
    }

    std::size_t scratch_bytes() const { return (b_is_constant_ ? 0 : b_bytes_) + bias_bytes_ + a_bytes_; }
    std::size_t packed_bytes() const { return b_is_constant_ ? b_bytes_ : 0; }
    bool b_is_constant() const { return b_is_constant_; }

    void pack_constant(const TrunkB& b, const void* data) {
        packed_ = AlignedBuffer(b_bytes_);
        const Workers alone{1, nullptr, nullptr};
        pack_items(b, data, element_bytes_, alone, packed_.data());
    }
    // Packed b for this run, and in `scratch` what is left for the rest.
    const void* b_for_run(const TrunkB& b, const void* data, const Workers& workers, std::byte*& scratch) const {
        if (b_is_constant_) return packed_.data();
        std::byte* packed = scratch;
        pack_items(b, data, element_bytes_, workers, packed);
        scratch += b_bytes_;
        return packed;
    }
    // The bias side by side and as wide as sums are, and in `scratch` what is left for a.
    const void* bias_for_run(const Tensor& bias, std::int64_t stride, std::int64_t elements,
                             std::byte*& scratch) const {
        if (bias_bytes_ == 0) return bias.data;
        std::byte* to = scratch;
        const auto bytes = static_cast<std::int64_t>(dtype_bytes(bias.dtype));
        const DType dtype = wide_bytes_ == sizeof(float) ? DType::fp32 : DType::fp64;
        for (std::int64_t n = 0; n < elements; ++n) {
            const double value = to_real(static_cast<const std::byte*>(bias.data) + n * stride * bytes, bias.dtype);
            std::memcpy(to + n * static_cast<std::int64_t>(wide_bytes_), to_scalar(value, dtype).bytes, wide_bytes_);
        }
        scratch += bias_bytes_;
        return to;
    }

private:
    bool b_is_constant_ = false;
    std::size_t element_bytes_ = 0, wide_bytes_ = 0, b_bytes_ = 0, bias_bytes_ = 0, a_bytes_ = 0;
    AlignedBuffer packed_;
};

}  // namespace thew
