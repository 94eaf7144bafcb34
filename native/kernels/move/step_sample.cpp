// Sampling along axes: one strided loop over the other dimensions for each axis.
#include <algorithm>
#include <numeric>

#include "kernels/dispatch.hpp"
#include "kernels/move/sample_step.hpp"
#include "kernels/scalar.hpp"

namespace thew {
namespace {

// The shape of `like` with `extent` at `axis`, dense, dimensions in memory in like's order.
Tensor dense_with(const Tensor& like, const Tensor& order, int axis, std::int64_t extent) {
    Tensor tensor = like;
    tensor.data = nullptr;
    tensor.shape[axis] = extent;
    std::vector<int> dimensions(static_cast<std::size_t>(like.rank));
    std::iota(dimensions.begin(), dimensions.end(), 0);
    std::stable_sort(dimensions.begin(), dimensions.end(),
                     [&](int a, int b) { return order.stride[a] < order.stride[b]; });
    std::int64_t stride = 1;
    for (int d : dimensions) {
        tensor.stride[d] = stride;
        stride *= tensor.shape[d];
    }
    return tensor;
}

class SampleStep : public Step {
public:
    SampleStep(const StepDesc& desc, const MoveEntry& entry, std::vector<AxisTable> tables) {
        const Tensor& output = desc.outputs[0];
        Tensor in = desc.inputs[0];
        std::size_t bytes[2] = {0, 0};
        for (std::size_t p = 0; p < tables.size(); ++p) {
            const int axis = tables[p].axis;
            const Tensor out = p + 1 == tables.size() ? output : dense_with(in, output, axis, tables[p].extent);
            if (p + 1 < tables.size()) {
                const std::size_t size = static_cast<std::size_t>(element_count(out)) * dtype_bytes(out.dtype);
                bytes[p % 2] = std::max(bytes[p % 2], (size + kAlignment - 1) / kAlignment * kAlignment);
            }
            passes_.emplace_back(out, in, std::move(tables[p]), entry, where(desc));
            in = out;
        }
        second_ = bytes[0];
        scratch_ = bytes[0] + bytes[1];
    }

    std::size_t scratch_bytes() const override { return scratch_; }
    bool packs(std::size_t input) const override { return input > 0; }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        auto* in = static_cast<std::byte*>(inputs[0].data);
        for (std::size_t p = 0; p < passes_.size(); ++p) {
            std::byte* out = scratch + (p % 2 == 0 ? 0 : second_);
            if (p + 1 == passes_.size()) out = static_cast<std::byte*>(outputs[0].data);
            passes_[p].run(out, in, workers);
            in = out;
        }
    }

private:
    std::vector<AxisPass> passes_;
    std::size_t second_, scratch_;
};

}  // namespace

AxisPass::AxisPass(const Tensor& out, const Tensor& in, AxisTable table, const MoveEntry& entry,
                   const std::string& where)
    : table_(std::move(table)), kernel_(table_.weight.empty() ? entry.pick : entry.weighted) {
    require(kernel_ != nullptr, where + "only fp32 and fp64 can be weighed, got " + dtype_name(entry.row.a));
    Tensor out_rest = out, in_rest = in;
    out_rest.shape[table_.axis] = in_rest.shape[table_.axis] = 1;
    const Tensor views[] = {out_rest, in_rest};
    loop_ = plan_loop(views, where);
    loop_.work = std::max<std::int64_t>(table_.extent * table_.taps, 1);
    loop_.as_is = true;
    if (table_.extent == 0) loop_.elements = 0;
    const auto bytes = static_cast<std::int64_t>(dtype_bytes(out.dtype));
    out_bytes_ = out.stride[table_.axis] * bytes;
    in_bytes_ = in.stride[table_.axis] * bytes;
    for (double weight : table_.weight) {
        const Scalar scalar = to_scalar(weight, entry.row.a);
        weight_.insert(weight_.end(), scalar.bytes, scalar.bytes + bytes);
    }
}

void AxisPass::run(std::byte* out, std::byte* in, const std::int64_t* index, const Workers& workers) const {
    const Sampling sampling{index, weight_.data(), table_.extent, table_.taps, out_bytes_, in_bytes_};
    std::byte* data[] = {out, in};
    run_loop(loop_, data, workers, kernel_, &sampling);
}

std::unique_ptr<Step> make_sampling(const StepDesc& desc, const MoveEntry& entry, std::vector<AxisTable> tables) {
    if (!tables.empty()) return std::make_unique<SampleStep>(desc, entry, std::move(tables));
    StepDesc copy = desc;  // nothing changes along any axis
    copy.inputs.resize(1);
    return make_copy(copy, entry, false);
}

}  // namespace thew
