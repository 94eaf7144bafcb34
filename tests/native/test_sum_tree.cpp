// The sum tree on every ISA of this CPU, for sanitizers: trees of any number of leaves, repeated slots, refused slots.
#include <cmath>
#include <random>
#include <vector>

#include "base/error.hpp"
#include "check.hpp"
#include "cpu/features.hpp"
#include "kernels/kernel.hpp"

namespace thew {
extern const Family sum_tree_family;

namespace {

Tensor vector_of(std::vector<double>& values) {
    return {values.data(), DType::fp64, 1, {static_cast<std::int64_t>(values.size())}, {1}};
}

Tensor vector_of(std::vector<std::int64_t>& values) {
    return {values.data(), DType::int64, 1, {static_cast<std::int64_t>(values.size())}, {1}};
}

void run(const Row& row, const char* op, std::vector<Tensor> inputs, std::vector<Tensor> outputs) {
    StepDesc desc{row_name(row), op, "test", inputs, outputs, std::vector<bool>(inputs.size()), {}, 1, {}};
    sum_tree_family.make(desc, row, false)->run(inputs.data(), outputs.data(), Workers{}, nullptr);
}

void test_row(const Row& row, std::int64_t leaves) {
    std::mt19937 random(static_cast<unsigned>(leaves));
    std::uniform_real_distribution<double> uniform(0.0, 1.0);
    std::vector<double> tree(static_cast<std::size_t>(2 * leaves)), values(50), draws(50), shares(50);
    std::vector<std::int64_t> slots(50), found(50);
    for (int round = 0; round < 20; ++round) {
        for (std::size_t i = 0; i < slots.size(); ++i) {
            slots[i] = static_cast<std::int64_t>(random() % static_cast<unsigned>(leaves));
            values[i] = uniform(random) < 0.3 ? 0.0 : uniform(random);
            draws[i] = uniform(random);
        }
        run(row, "update_sum_tree", {vector_of(tree), vector_of(slots), vector_of(values)}, {vector_of(tree)});
        double sum = 0;
        for (std::int64_t leaf = leaves; leaf < 2 * leaves; ++leaf) sum += tree[static_cast<std::size_t>(leaf)];
        CHECK(std::abs(sum - tree[1]) <= 1e-12 * (1 + sum));
        run(row, "sample_sum_tree", {vector_of(tree), vector_of(draws)}, {vector_of(found), vector_of(shares)});
        for (std::int64_t slot : found) {
            CHECK(slot >= 0 && slot < leaves);
            CHECK(sum == 0 || tree[static_cast<std::size_t>(leaves + slot)] > 0);
        }
    }
    slots[7] = leaves;
    bool refused = false;
    try {
        run(row, "update_sum_tree", {vector_of(tree), vector_of(slots), vector_of(values)}, {vector_of(tree)});
    } catch (const Error&) {
        refused = true;
    }
    CHECK(refused);
}

}  // namespace
}  // namespace thew

int main() {
    for (const thew::Row* row : thew::sum_tree_family.rows()) {
        if (!thew::supported(row->isa)) continue;
        for (std::int64_t leaves : {1, 2, 3, 5, 8, 1000}) thew::test_row(*row, leaves);
    }
    return thew::test::report("sum_tree");
}
