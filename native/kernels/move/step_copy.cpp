// copy and fill: rows where both sides have consecutive elements (or the input one element), transposed blocks where
// the consecutive dimensions differ, and an element-wise loop for everything else. Rows of 2, 4 or 8 bytes are
// elements.
#include <algorithm>
#include <cstdlib>

#include "kernels/elementwise_step.hpp"
#include "kernels/move/step.hpp"
#include "kernels/scalar.hpp"

namespace thew {
namespace {

struct Nothing {};

// out's columns are the last dimension of the loop, in's are dimension `n`; the others are walked one by one.
class TransposeStep : public Step {
public:
    TransposeStep(const StridedLoop& loop, int n, const MoveEntry& entry) : loop_(loop), n_(n), run_(entry.transpose) {
        const std::int64_t bytes = loop.bytes[0], m_extent = loop.extent[loop.rank - 1];
        m_block_ = std::min<std::int64_t>(m_extent, 512);
        n_block_ = std::max<std::int64_t>(kBlockBytes / (m_block_ * bytes), 1);
        n_block_ = (n_block_ + kLine - 1) / kLine * kLine;
        m_tiles_ = (m_extent + m_block_ - 1) / m_block_;
        n_tiles_ = (loop.extent[n] + n_block_ - 1) / n_block_;
        outer_ = loop.elements == 0 ? 0 : loop.elements / (m_extent * loop.extent[n]);
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte*) const override {
        auto body = [&](std::int64_t tile, int) {
            block(static_cast<std::byte*>(outputs[0].data), static_cast<const std::byte*>(inputs[0].data), tile);
        };
        const std::int64_t tiles = outer_ * n_tiles_ * m_tiles_;
        const bool small = loop_.elements * loop_.bytes[0] <= kBlockBytes;
        Workers alone = workers;
        alone.count = 1;
        parallel_for(small ? alone : workers, tiles, body);
    }

private:
    static constexpr std::int64_t kBlockBytes = 32 * 1024, kLine = 64;

    void block(std::byte* out, const std::byte* in, std::int64_t tile) const {
        const std::int64_t j = tile % m_tiles_ * m_block_, i = tile / m_tiles_ % n_tiles_ * n_block_;
        const int m = loop_.rank - 1;
        std::int64_t rest = tile / (m_tiles_ * n_tiles_);
        for (int d = m - 1; d >= 0; --d) {
            if (d == n_) continue;
            const std::int64_t index = rest % loop_.extent[d];
            rest /= loop_.extent[d];
            out += index * loop_.stride[0][d];
            in += index * loop_.stride[1][d];
        }
        out += i * loop_.stride[0][n_] + j * loop_.bytes[0];
        in += j * loop_.stride[1][m] + i * loop_.bytes[0];
        run_({in, out, std::min(n_block_, loop_.extent[n_] - i), std::min(m_block_, loop_.extent[m] - j),
              loop_.stride[1][m], loop_.stride[0][n_]});
    }

    StridedLoop loop_;
    int n_;
    void (*run_)(const TransposeBlock&);
    std::int64_t n_block_, m_block_, n_tiles_, m_tiles_, outer_;
};

// The dimension whose elements are consecutive in the input, where another one is in the output; -1 where there is
// none.
int transposed_dimension(const StridedLoop& loop) {
    const int m = loop.rank - 1;
    const std::int64_t bytes = loop.bytes[0];
    if (loop.stride[0][m] != bytes || loop.stride[1][m] == bytes || loop.stride[1][m] == 0) return -1;
    for (int d = 0; d < m; ++d) {
        if (loop.stride[1][d] == bytes && loop.extent[d] > 1) return d;
    }
    return -1;
}

// Runs `wide`, whose elements are rows of what `narrow` moves, where both addresses are aligned to them.
class AlignedStep : public Step {
public:
    AlignedStep(std::unique_ptr<Step> wide, std::unique_ptr<Step> narrow, std::int64_t bytes)
        : wide_(std::move(wide)), narrow_(std::move(narrow)), mask_(static_cast<std::uintptr_t>(bytes) - 1) {}

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        const auto in = reinterpret_cast<std::uintptr_t>(inputs[0].data);
        const auto out = reinterpret_cast<std::uintptr_t>(outputs[0].data);
        (((in | out) & mask_) == 0 ? wide_ : narrow_)->run(inputs, outputs, workers, scratch);
    }

private:
    std::unique_ptr<Step> wide_, narrow_;
    std::uintptr_t mask_;
};

// Takes rows of 2, 4 or 8 consecutive bytes, aligned to that but for the loop's addresses, as elements. Says whether it
// could.
bool widen(StridedLoop& loop) {
    const int last = loop.rank - 1;
    const std::int64_t element = loop.bytes[0], bytes = element * loop.extent[last];
    if (loop.rank < 3 || loop.extent[last] == 1 || (bytes != 2 && bytes != 4 && bytes != 8)) return false;
    for (int n = 0; n < 2; ++n) {
        if (loop.stride[n][last] != element) return false;
        for (int d = 0; d < last; ++d) {
            if (loop.stride[n][d] % bytes != 0) return false;
        }
    }
    loop.elements /= loop.extent[last];
    loop.bytes[0] = loop.bytes[1] = bytes;
    loop.rank = last;
    return true;
}

// The loop with a long dimension innermost: of those as long as a few vectors, or else of the longest ones, that whose
// elements are nearest to each other, so that what the others repeat stays in the first-level cache.
StridedLoop along_long(const StridedLoop& loop) {
    constexpr std::int64_t kLong = 16;
    const int last = loop.rank - 1;
    const std::int64_t least = std::min(*std::max_element(loop.extent, loop.extent + loop.rank), kLong);
    const auto step = [&](int d) { return std::abs(loop.stride[0][d]) + std::abs(loop.stride[1][d]); };
    int best = -1;
    for (int d = 0; d <= last; ++d) {
        if (loop.extent[d] >= least && (best < 0 || step(d) < step(best))) best = d;
    }
    StridedLoop turned = loop;
    std::rotate(turned.extent + best, turned.extent + best + 1, turned.extent + loop.rank);
    for (auto& stride : turned.stride) std::rotate(stride + best, stride + best + 1, stride + loop.rank);
    return turned;
}

std::unique_ptr<Step> copy_of(const StridedLoop& loop, const MoveEntry& entry) {
    constexpr std::int64_t kFewElements = 8;  // of a tile, whose call then costs more than they do
    const int n = loop.elements == 0 ? -1 : transposed_dimension(loop);
    if (n < 0) return std::make_unique<ElementwiseStep<Nothing>>(loop, entry.copy, Nothing{});
    if (loop.extent[n] * loop.extent[loop.rank - 1] > kFewElements) {
        return std::make_unique<TransposeStep>(loop, n, entry);
    }
    return std::make_unique<ElementwiseStep<Nothing>>(along_long(loop), entry.copy, Nothing{});
}

class FillStep : public Step {
public:
    FillStep(const StridedLoop& loop, LeafKernel copy, Scalar value) : loop_(loop), copy_(copy), value_(value) {}
    void run(const Tensor*, const Tensor* outputs, const Workers& workers, std::byte*) const override {
        Scalar value = value_;
        std::byte* data[] = {static_cast<std::byte*>(outputs[0].data), value.bytes};
        run_loop(loop_, data, workers, copy_, nullptr);
    }

private:
    StridedLoop loop_;
    LeafKernel copy_;
    Scalar value_;
};

}  // namespace

std::unique_ptr<Step> make_copy(const StepDesc& desc, const MoveEntry& entry, bool) {
    require_counts(desc, 1, 1);
    require_dtype(desc, desc.inputs[0], entry.row.a, "the input");
    const StridedLoop loop = loop_of(desc, 1);
    StridedLoop wide = loop;
    if (!widen(wide)) return copy_of(loop, entry);
    return std::make_unique<AlignedStep>(copy_of(wide, entry_of_size(entry, wide.bytes[0])), copy_of(loop, entry),
                                         wide.bytes[0]);
}

std::unique_ptr<Step> make_fill(const StepDesc& desc, const MoveEntry& entry, bool) {
    require(desc.inputs.empty(), where(desc) + "takes no inputs, got " + std::to_string(desc.inputs.size()));
    const Tensor& output = desc.outputs[0];
    Tensor value{};
    value.dtype = output.dtype;
    const Tensor views[] = {output, value};
    return std::make_unique<FillStep>(plan_loop(views, where(desc)), entry.copy,
                                      scalar_attribute(desc.attributes, "value", output.dtype));
}

}  // namespace thew
