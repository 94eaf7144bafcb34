// Descents and climbs. A descent waits for memory at every level, so that several go down side by side.
#include "kernels/sum_tree/contract.hpp"
#include "simd/vec.hpp"

namespace thew {
namespace {

constexpr std::int64_t kAbreast = 8;

void sample(const double* tree, std::int64_t leaves, const double* draws, std::int64_t count, std::int64_t* slots,
            double* shares) {
    const double total = tree[1], part = total / static_cast<double>(count);
    for (std::int64_t first = 0; first < count; first += kAbreast) {
        const std::int64_t abreast = count - first < kAbreast ? count - first : kAbreast;
        std::int64_t node[kAbreast];
        double rest[kAbreast];
        for (std::int64_t k = 0; k < abreast; ++k) {
            node[k] = 1;
            rest[k] = (static_cast<double>(first + k) + draws[first + k]) * part;
        }
        for (bool inner = leaves > 1; inner;) {
            inner = false;
            for (std::int64_t k = 0; k < abreast; ++k) {
                if (node[k] >= leaves) continue;
                const double left = tree[2 * node[k]], right = tree[2 * node[k] + 1];
                const bool goes_right = rest[k] >= left && right > 0;  // rounding may leave a rest where nothing is
                rest[k] -= goes_right ? left : 0;
                node[k] = 2 * node[k] + (goes_right ? 1 : 0);
                inner = inner || node[k] < leaves;
            }
        }
        for (std::int64_t k = 0; k < abreast; ++k) {
            slots[first + k] = node[k] - leaves;
            shares[first + k] = total > 0 ? tree[node[k]] / total : 0;
        }
    }
}

void update(double* tree, std::int64_t leaves, const std::int64_t* slots, const double* values, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
        std::int64_t node = leaves + slots[i];
        tree[node] = values[i];
        while (node > 1) {
            node /= 2;
            tree[node] = tree[2 * node] + tree[2 * node + 1];
        }
    }
}

constexpr SumTreeEntry kEntries[] = {
    {{"sum_tree", "binary", DType::fp64, DType::fp64, DType::fp64, 0, 0, 0, kIsa}, sample, update}};

}  // namespace

namespace THEW_ISA {
extern const Table<SumTreeEntry> sum_tree_table;
const Table<SumTreeEntry> sum_tree_table{kEntries, 1};
}  // namespace THEW_ISA

}  // namespace thew
