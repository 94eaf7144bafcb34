// Counter-based dropout of one ISA: kBlocks blocks of Philox at a time in 64-bit lanes, 4 words each.
#include "kernels/dropout/contract.hpp"
#include "simd/unroll.hpp"
#include "simd/vec.hpp"

namespace thew {
namespace {

using Lane = std::uint64_t;
using Block = Vec<Lane>;
constexpr int kBlocks = kLanes<Lane>, kWords = 4 * kBlocks;
constexpr Lane kLow = 0xffffffff;

// The words of elements 4·first … 4·first + kWords - 1, in order.
inline void draw(const DropoutArgs& args, Lane first, std::uint32_t* words) {
    Block counter;
    for (int lane = 0; lane < kBlocks; ++lane) counter[lane] = first + static_cast<Lane>(lane);
    Block a = counter & kLow, b = counter >> 32;
    Block c = Block{} + Lane{args.offset}, d = Block{} + Lane{args.stream};
    std::uint32_t left = args.key[0], right = args.key[1];
    for (int turn = 0; turn < 10; ++turn, left += 0x9e3779b9u, right += 0xbb67ae85u) {
        const Block one = a * Lane{0xd2511f53}, two = c * Lane{0xcd9e8d57};
        a = (two >> 32) ^ b ^ Lane { left };
        b = two & kLow;
        c = (one >> 32) ^ d ^ Lane { right };
        d = one & kLow;
    }
    for (int lane = 0; lane < kBlocks; ++lane) {
        words[4 * lane] = static_cast<std::uint32_t>(a[lane]);
        words[4 * lane + 1] = static_cast<std::uint32_t>(b[lane]);
        words[4 * lane + 2] = static_cast<std::uint32_t>(c[lane]);
        words[4 * lane + 3] = static_cast<std::uint32_t>(d[lane]);
    }
}

// Elements [first, last) of one row, whose first element is element `start` of the tensor.
template <class T>
void drop(const DropoutArgs& args, const T* x, T* y, Lane start, std::int64_t first, std::int64_t last) {
    const T factor = static_cast<T>(args.factor);
    std::uint32_t words[kWords];
    for (std::int64_t i = first; i < last;) {
        const Lane element = start + static_cast<Lane>(i);
        draw(args, element / 4, words);
        const int skipped = static_cast<int>(element % 4);
        const std::int64_t count = last - i < kWords - skipped ? last - i : kWords - skipped;
        for (std::int64_t k = 0; k < count; ++k) {
            const T value = x[(i + k) * args.x_step] * factor;
            y[(i + k) * args.y_step] = words[skipped + k] < args.below ? T{} : value;
        }
        i += count;
    }
}

template <class T>
void run(const DropoutArgs& args, const void* x, void* y, const Workers& workers) {
    constexpr std::int64_t kPiece = 4096;
    const std::int64_t pieces = (args.columns + kPiece - 1) / kPiece;
    const std::int64_t group = args.columns >= kPiece ? 1 : kPiece / (args.columns + 1) + 1;  // rows a task
    const std::int64_t groups = (args.rows + group - 1) / group;
    auto body = [&](std::int64_t task, int) {
        const std::int64_t piece = task % pieces, end = (task / pieces + 1) * group;
        const std::int64_t first = piece * kPiece, left = args.columns - first;
        for (std::int64_t row = task / pieces * group; row < end && row < args.rows; ++row) {
            const Offsets at = offsets_at(args.of_rows, row);
            drop<T>(args, static_cast<const T*>(x) + at.of[0], static_cast<T*>(y) + at.of[1],
                    static_cast<Lane>(row * args.columns), first, first + (left < kPiece ? left : kPiece));
        }
    };
    parallel_for(workers, groups * pieces, body);
}

template <class T>
constexpr DropoutEntry entry(DType type) {
    return {{"dropout", "counter", type, type, type, 0, 0, 0, kIsa}, run<T>};
}

constexpr DropoutEntry kEntries[] = {entry<float>(DType::fp32), entry<double>(DType::fp64)};

}  // namespace

namespace THEW_ISA {
extern const Table<DropoutEntry> dropout_table;
const Table<DropoutEntry> dropout_table{kEntries, 2};
}  // namespace THEW_ISA

}  // namespace thew
