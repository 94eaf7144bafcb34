// Planning and running of strided loops. Tiles hold about 32 KB of the widest operand: large enough to hide the
// hand-over to a worker, small enough to stay in L1 and to balance unequal cores. Short rows against one that repeats,
// as of pixels with few channels and a number for each, run as long ones: the row that repeats is written out.
#include "kernels/strided.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "base/error.hpp"
#include "kernels/kernel.hpp"

namespace thew {
namespace {

constexpr std::int64_t kTileBytes = 32 * 1024;
constexpr std::int64_t kBlock = 256;  // elements that go through a buffer at once
constexpr std::int64_t kShortRow = kBlock / 2;

struct Dimension {
    std::int64_t extent;
    std::array<std::int64_t, kMaxOperands> stride;  // bytes
};

// Outermost first: by the output's stride, then by the inputs' (a tie is an extent of 1 or a broadcast output).
bool walks_outside(const Dimension& a, const Dimension& b) {
    for (int operand = 0; operand < kMaxOperands; ++operand) {
        std::int64_t left = std::abs(a.stride[operand]), right = std::abs(b.stride[operand]);
        if (left != right) return left > right;
    }
    return false;
}

bool merges(const Dimension& outer, const Dimension& inner) {
    for (int operand = 0; operand < kMaxOperands; ++operand) {
        if (outer.stride[operand] != inner.stride[operand] * inner.extent) return false;
    }
    return true;
}

template <class Word>
void move_words(const std::byte* from, std::int64_t from_stride, std::byte* to, std::int64_t to_stride,
                std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_stride, from + i * from_stride, sizeof(Word));
}

void move_strided(const std::byte* from, std::int64_t from_stride, std::byte* to, std::int64_t to_stride,
                  std::int64_t bytes, std::int64_t count) {
    switch (bytes) {
        case 1: return move_words<std::uint8_t>(from, from_stride, to, to_stride, count);
        case 2: return move_words<std::uint16_t>(from, from_stride, to, to_stride, count);
        case 4: return move_words<std::uint32_t>(from, from_stride, to, to_stride, count);
        default: return move_words<std::uint64_t>(from, from_stride, to, to_stride, count);
    }
}

struct Run {
    const StridedLoop& loop;
    std::byte* const* data;
    LeafKernel kernel;
    const void* parameters;
    bool buffered[kMaxOperands];
    bool any_buffered;

    void blocks(const Leaf& whole) const;
    void rectangle(const std::int64_t* index, std::int64_t rows, std::int64_t first, std::int64_t last) const;
    void rows(std::int64_t row, std::int64_t count, std::int64_t first, std::int64_t last) const;
};

// One row after another, kBlock columns at a time, the awkward operands through buffers.
void Run::blocks(const Leaf& whole) const {
    alignas(kAlignment) std::byte buffer[kMaxOperands][kBlock * 8];
    const int columns = loop.rank - 1;
    for (std::int64_t row = 0; row < whole.rows; ++row) {
        for (std::int64_t first = 0; first < whole.cols; first += kBlock) {
            Leaf leaf = whole;
            leaf.rows = 1;
            leaf.cols = std::min(kBlock, whole.cols - first);
            std::byte* output = nullptr;
            for (int n = 0; n < loop.operands; ++n) {
                std::int64_t stride = loop.stride[n][columns];
                leaf.data[n] = whole.data[n] + row * whole.row_bytes[n] + first * stride;
                if (!buffered[n]) continue;
                if (n == 0) {
                    output = leaf.data[0];
                } else {
                    move_strided(leaf.data[n], stride, buffer[n], loop.bytes[n], loop.bytes[n], leaf.cols);
                }
                leaf.data[n] = buffer[n];
                leaf.col_bytes[n] = loop.bytes[n];
            }
            kernel(leaf, parameters);
            if (output != nullptr) {
                move_strided(buffer[0], loop.bytes[0], output, loop.stride[0][columns], loop.bytes[0], leaf.cols);
            }
        }
    }
}

void Run::rectangle(const std::int64_t* index, std::int64_t rows, std::int64_t first, std::int64_t last) const {
    Leaf leaf;
    leaf.rows = rows;
    leaf.cols = last - first;
    const int columns = loop.rank - 1;
    for (int n = 0; n < loop.operands; ++n) {
        const std::int64_t* stride = loop.stride[n];
        std::byte* at = data[n] + first * stride[columns];
        for (int d = 0; d < columns; ++d) at += index[d] * stride[d];
        leaf.data[n] = at;
        leaf.row_bytes[n] = stride[columns - 1];
        leaf.step[n] = stride[columns] == 0 ? 0 : 1;
        leaf.col_bytes[n] = stride[columns];
    }
    if (any_buffered) return blocks(leaf);
    kernel(leaf, parameters);
}

// Rows [row, row + count) in loop order, columns [first, last): as few rectangles as the row dimension allows.
void Run::rows(std::int64_t row, std::int64_t count, std::int64_t first, std::int64_t last) const {
    std::int64_t index[kMaxRank + 1];
    const int inner = loop.rank - 2;
    for (int d = inner; d >= 0; --d) {
        index[d] = row % loop.extent[d];
        row /= loop.extent[d];
    }
    while (count > 0) {
        std::int64_t span = std::min(count, loop.extent[inner] - index[inner]);
        rectangle(index, span, first, last);
        count -= span;
        index[inner] += span;
        for (int d = inner; d > 0 && index[d] == loop.extent[d]; --d) {
            index[d] = 0;
            ++index[d - 1];
        }
    }
}

void run_rows(const StridedLoop& loop, std::byte* const* data, const Workers& workers, LeafKernel kernel,
              const void* parameters) {
    Run run{loop, data, kernel, parameters, {}, false};
    const std::int64_t cols = loop.extent[loop.rank - 1];
    std::int64_t widest = 1;
    for (int n = 0; n < loop.operands; ++n) {
        std::int64_t stride = loop.stride[n][loop.rank - 1];
        run.buffered[n] = !loop.as_is && cols > 1 && stride != loop.bytes[n] && (n == 0 || stride != 0);
        run.any_buffered |= run.buffered[n];
        widest = std::max(widest, loop.bytes[n]);
    }
    const std::int64_t all_rows = loop.elements / cols;
    const std::int64_t tile = std::max<std::int64_t>(kTileBytes / (widest * loop.work), 1);
    if (workers.count == 1 || loop.elements <= tile) return run.rows(0, all_rows, 0, cols);
    const std::int64_t piece = std::max(tile, kBlock);
    if (cols > piece) {
        const std::int64_t pieces = (cols + piece - 1) / piece;
        auto body = [&](std::int64_t at, int) {
            std::int64_t first = at % pieces * piece;
            run.rows(at / pieces, 1, first, std::min(first + piece, cols));
        };
        return parallel_for(workers, all_rows * pieces, body);
    }
    const std::int64_t together = std::max<std::int64_t>(tile / cols, 1);
    auto body = [&](std::int64_t at, int) {
        run.rows(at * together, std::min(together, all_rows - at * together), 0, cols);
    };
    parallel_for(workers, (all_rows + together - 1) / together, body);
}

bool repeats(const StridedLoop& loop, int operand) {
    const std::int64_t* stride = loop.stride[operand];
    return stride[loop.rank - 1] != 0 && stride[loop.rank - 2] == 0;
}

// How many rows may run as one: rows that are short, and in every operand go on, repeat one row throughout, or hold one
// number.
std::int64_t rows_together(const StridedLoop& loop) {
    const int columns = loop.rank - 1, rows = columns - 1;
    const std::int64_t cols = loop.extent[columns];
    if (loop.as_is || cols == 1 || cols > kShortRow || loop.extent[rows] < 2 * kBlock / cols) return 1;
    for (int n = 0; n < loop.operands; ++n) {
        const std::int64_t* stride = loop.stride[n];
        const bool goes_on = stride[columns] == loop.bytes[n] && stride[rows] == cols * stride[columns];
        const bool is_number = n > 0 && stride[columns] == 0 && stride[rows] == 0;
        const bool is_row = n > 0 && stride[columns] == loop.bytes[n] &&
                            std::all_of(stride, stride + columns, [](std::int64_t step) { return step == 0; });
        if (!goes_on && !is_number && !is_row) return 1;
    }
    return kBlock / cols;
}

// Rows as one, `together` at a time, and those that are left.
void run_joined(StridedLoop loop, std::byte* const* data, const Workers& workers, LeafKernel kernel,
                const void* parameters, std::int64_t together) {
    alignas(kAlignment) std::byte buffer[kMaxOperands][kBlock * 8];
    const int columns = loop.rank - 1, rows = columns - 1;
    const std::int64_t cols = loop.extent[columns], count = loop.extent[rows];
    const std::int64_t outer = loop.elements / (cols * count);
    std::byte* at[kMaxOperands];
    for (int n = 0; n < loop.operands; ++n) {
        at[n] = data[n];
        if (repeats(loop, n)) {
            const std::int64_t bytes = cols * loop.bytes[n];
            for (std::int64_t i = 0; i < together; ++i) {
                std::memcpy(buffer[n] + i * bytes, data[n], static_cast<std::size_t>(bytes));
            }
            at[n] = buffer[n];
        }
        loop.stride[n][rows] *= together;
    }
    const auto run = [&](std::int64_t joined, std::int64_t length) {
        loop.extent[rows] = joined;
        loop.extent[columns] = length;
        loop.elements = outer * joined * length;
        run_rows(loop, at, workers, kernel, parameters);
    };
    run(count / together, cols * together);
    if (count % together == 0) return;
    for (int n = 0; n < loop.operands; ++n) at[n] += count / together * loop.stride[n][rows];
    run(1, count % together * cols);
}

}  // namespace

std::int64_t element_count(const Tensor& tensor) {
    std::int64_t count = 1;
    for (int d = 0; d < tensor.rank; ++d) count *= tensor.shape[d];
    return count;
}

bool same_shape(const Tensor& a, const Tensor& b) {
    return a.rank == b.rank && std::equal(a.shape, a.shape + std::max(a.rank, 0), b.shape);
}

std::string shape_text(const Tensor& tensor) {
    std::string text = "(";
    for (int d = 0; d < tensor.rank; ++d) text += (d == 0 ? "" : ", ") + std::to_string(tensor.shape[d]);
    return text + ")";
}

Tensor broadcast_view(const Tensor& input, const Tensor& output, const std::string& where) {
    Tensor view = output;
    view.data = input.data;
    view.dtype = input.dtype;
    int missing = output.rank - input.rank;
    bool fits = missing >= 0;
    for (int d = 0; fits && d < output.rank; ++d) {
        bool absent = d < missing;
        std::int64_t extent = absent ? 1 : input.shape[d - missing];
        fits = extent == 1 || extent == output.shape[d];
        view.stride[d] = absent || extent == 1 ? 0 : input.stride[d - missing];
    }
    require(fits, where + "an input must broadcast to the output's shape " + shape_text(output) + ", got " +
                      shape_text(input));
    return view;
}

StridedLoop plan_loop(std::span<const Tensor> views, const std::string& where) {
    require(views.size() <= kMaxOperands, where + "too many operands");
    const Tensor& output = views[0];
    StridedLoop loop{};
    loop.operands = static_cast<int>(views.size());
    loop.elements = element_count(output);
    std::array<Dimension, kMaxRank> dimensions{};
    int rank = 0;
    for (int d = 0; d < output.rank; ++d) dimensions[d].extent = output.shape[d];
    for (int n = 0; n < loop.operands; ++n) {
        Tensor view = broadcast_view(views[n], output, where);
        loop.bytes[n] = static_cast<std::int64_t>(dtype_bytes(view.dtype));
        for (int d = 0; d < output.rank; ++d) dimensions[d].stride[n] = view.stride[d] * loop.bytes[n];
    }
    for (int d = 0; d < output.rank; ++d) {
        if (dimensions[d].extent != 1) dimensions[rank++] = dimensions[d];
    }
    std::stable_sort(dimensions.begin(), dimensions.begin() + rank, walks_outside);
    int kept = 0;
    for (int d = 0; d < rank; ++d) {
        if (kept > 0 && merges(dimensions[kept - 1], dimensions[d])) {
            std::int64_t extent = dimensions[kept - 1].extent * dimensions[d].extent;
            dimensions[kept - 1] = dimensions[d];
            dimensions[kept - 1].extent = extent;
        } else {
            dimensions[kept++] = dimensions[d];
        }
    }
    loop.rank = std::max(kept, 2);
    for (int d = 0; d < loop.rank; ++d) {
        int from = d - (loop.rank - kept);
        loop.extent[d] = from < 0 ? 1 : dimensions[from].extent;
        for (int n = 0; n < loop.operands; ++n) loop.stride[n][d] = from < 0 ? 0 : dimensions[from].stride[n];
    }
    return loop;
}

void run_loop(const StridedLoop& loop, std::byte* const* data, const Workers& workers, LeafKernel kernel,
              const void* parameters) {
    if (loop.elements == 0) return;
    const std::int64_t together = rows_together(loop);
    if (together > 1) return run_joined(loop, data, workers, kernel, parameters, together);
    run_rows(loop, data, workers, kernel, parameters);
}

}  // namespace thew
