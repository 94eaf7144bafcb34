// A step that samples its input along some axes, one after the other: the engine under gather, pad and resize.
#pragma once

#include <vector>

#include "kernels/move/step.hpp"
#include "kernels/strided.hpp"

namespace thew {

// Element j of the axis is the sum of `taps` elements of the input, or is one of them where there are no weights.
// In a dry step the tables are empty.
struct AxisTable {
    int axis;
    std::int64_t extent;  // of the output
    std::int64_t taps = 1;
    std::vector<std::int64_t> index;  // extent × taps
    std::vector<double> weight;       // the same, or empty
};

// One axis ready to run between two views.
class AxisPass {
public:
    AxisPass(const Tensor& out, const Tensor& in, AxisTable table, const MoveEntry& entry, const std::string& where);
    void run(std::byte* out, std::byte* in, const Workers& workers) const {
        run(out, in, table_.index.data(), workers);
    }
    void run(std::byte* out, std::byte* in, const std::int64_t* index, const Workers& workers) const;

private:
    AxisTable table_;
    std::vector<std::byte> weight_;  // of the element type
    StridedLoop loop_;
    LeafKernel kernel_;
    std::int64_t out_bytes_, in_bytes_;
};

// The passes in order, between them dense tensors in the output's layout, in scratch.
std::unique_ptr<Step> make_sampling(const StepDesc& desc, const MoveEntry& entry, std::vector<AxisTable> tables);

}  // namespace thew
