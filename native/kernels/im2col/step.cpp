// conv(x, w, b?, residual?) by an explicit matrix of patches: group by group, a copy and a step of the family matmul.
#include "kernels/im2col/contract.hpp"

#include <cstring>
#include <memory>

#include "base/aligned.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/strided.hpp"

namespace thew {

extern const Family matmul_family;

namespace {

struct Operands {
    Tensor x, w, y, residual;  // as 2-d images; residual.rank is -1 where absent
    std::int64_t group;
};

Operands operands(const StepDesc& desc, const Row& row) {
    require_counts(desc, 2, 4);
    const Tensor &x = desc.inputs[0], &w = desc.inputs[1], &y = desc.outputs[0];
    const std::int64_t group = require_convolution(desc, x, w, y);
    for (const Tensor& tensor : desc.inputs) {
        if (tensor.rank >= 0) require_dtype(desc, tensor, row.a, "every input");
    }
    require_dtype(desc, y, row.a, "y");
    Operands at{as_image(x), as_image(w), as_image(y), {}, group};
    at.residual.rank = -1;
    if (present(desc, 3)) at.residual = as_image(broadcast_view(desc.inputs[3], y, where(desc)));
    require_bias(desc, w.shape[0]);
    return at;
}

// An image as (n, h, w, channels), of one group's channels.
Tensor pixels_of(const Tensor& image, std::int64_t group, std::int64_t groups, std::size_t element_bytes) {
    Tensor view = image;
    const int order[4] = {0, 2, 3, 1};
    for (int d = 0; d < 4; ++d) {
        view.shape[d] = image.shape[order[d]];
        view.stride[d] = image.stride[order[d]];
    }
    view.shape[3] /= groups;
    if (image.data != nullptr) {
        const std::int64_t offset = group * view.shape[3] * view.stride[3] * static_cast<std::int64_t>(element_bytes);
        view.data = static_cast<std::byte*>(image.data) + offset;
    }
    return view;
}

class Im2colStep final : public Step {
public:
    Im2colStep(const StepDesc& desc, const Row& row, const Row& product_row, bool dry)
        : row_(product_row), element_bytes_(dtype_bytes(row.a)), constant_(desc.constant[1]) {
        const Operands at = operands(desc, row);
        group_ = at.group;
        const Tensor& w = desc.inputs[1];
        unfolding_.window = window_of(desc, desc.inputs[0].rank, {w.shape + 2, w.shape + w.rank});
        require_window(desc, unfolding_.window, at.x, at.y, false);
        unfolding_.x = at.x;
        unfolding_.x.shape[1] /= group_;
        unfolding_.oh = at.y.shape[2], unfolding_.ow = at.y.shape[3];
        unfolding_.element_bytes = static_cast<std::int64_t>(element_bytes_);
        lay_out(desc.inputs[0].dtype, at);
        AlignedBuffer turned(constant_ && !dry ? weight_bytes_ : 0);
        if (constant_ && !dry) turn_weights(at.w, turned.data());
        for (std::int64_t group = 0; group < group_; ++group) {
            products_.push_back(matmul_family.make(product_desc(desc, at, group, turned.data()), product_row, dry));
        }
    }

    std::size_t scratch_bytes() const override {
        return matrix_bytes_ + (constant_ ? 0 : weight_bytes_) + products_[0]->scratch_bytes();
    }
    std::size_t packed_bytes() const override { return products_.size() * products_[0]->packed_bytes(); }
    bool packs(std::size_t input) const override { return input == 1 && products_[0]->packs(1); }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        Tensor a = matrix_, b = weights_;
        a.data = scratch;
        scratch += matrix_bytes_;
        if (!constant_) {
            turn_weights(as_image(inputs[1]), scratch);
            b.data = scratch;
            scratch += weight_bytes_;
        }
        const auto element = static_cast<std::int64_t>(element_bytes_);
        for (std::int64_t group = 0; group < group_; ++group) {
            const auto* x = static_cast<const std::byte*>(inputs[0].data);
            unfold(unfolding_, x + group * unfolding_.x.shape[1] * unfolding_.x.stride[1] * element,
                   static_cast<std::byte*>(a.data), workers);
            const Tensor y = pixels_of(as_image(outputs[0]), group, group_, element_bytes_);
            Tensor operands[4] = {a, b, absent(), absent()};
            if (b.data != nullptr) operands[1].data = static_cast<std::byte*>(b.data) + group * group_weight_bytes();
            if (inputs_ > 2 && inputs[2].rank >= 0) operands[2] = bias_of(inputs[2], group);
            if (residual_.rank >= 0) {
                Tensor residual = residual_;
                residual.data = inputs[3].data;
                operands[3] = pixels_of(residual, group, group_, element_bytes_);
            }
            products_[static_cast<std::size_t>(group)]->run(operands, &y, workers, scratch);
        }
    }

private:
    static Tensor absent() {
        Tensor none{};
        none.rank = -1;
        return none;
    }

    std::int64_t group_weight_bytes() const {
        return weights_.shape[0] * weights_.shape[1] * static_cast<std::int64_t>(element_bytes_);
    }

    void lay_out(DType dtype, const Operands& at) {
        const std::int64_t depth = unfolding_.depth(), oc = at.w.shape[0] / group_;
        const std::int64_t shape[4] = {at.y.shape[0], at.y.shape[2], at.y.shape[3], depth};
        matrix_.dtype = weights_.dtype = dtype;
        matrix_.rank = 4;
        std::int64_t elements = 1;
        for (int d = 3; d >= 0; --d) {
            matrix_.shape[d] = shape[d];
            matrix_.stride[d] = elements;
            elements *= shape[d];
        }
        weights_.rank = 2;  // (k, oc) of w turned to (oc, h, w, c)
        weights_.shape[0] = depth, weights_.stride[0] = 1;
        weights_.shape[1] = oc, weights_.stride[1] = depth;
        matrix_bytes_ = checked_bytes(static_cast<std::size_t>(elements), element_bytes_);
        weight_bytes_ = checked_bytes(static_cast<std::size_t>(group_ * depth * oc), element_bytes_);
        residual_ = at.residual;
    }

    Tensor bias_of(const Tensor& bias, std::int64_t group) const {
        Tensor part = bias;
        part.shape[0] /= group_;
        if (bias.data != nullptr) {
            part.data = static_cast<std::byte*>(bias.data) +
                        group * part.shape[0] * bias.stride[0] * static_cast<std::int64_t>(element_bytes_);
        }
        return part;
    }

    StepDesc product_desc(const StepDesc& desc, const Operands& at, std::int64_t group, std::byte* turned) {
        inputs_ = desc.inputs.size();
        StepDesc product = desc;
        product.kernel = row_name(row_);
        product.inputs = {matrix_, weights_};
        product.constant = {false, constant_};
        if (turned != nullptr) product.inputs[1].data = turned + group * group_weight_bytes();
        const bool biased = present(desc, 2);
        product.inputs.push_back(biased ? bias_of(desc.inputs[2], group) : absent());
        product.inputs.push_back(at.residual.rank >= 0 ? pixels_of(at.residual, group, group_, element_bytes_)
                                                       : absent());
        product.constant.insert(product.constant.end(), {biased && desc.constant[2], false});
        product.outputs = {pixels_of(at.y, group, group_, element_bytes_)};
        return product;
    }

    // w as (oc, h, w, c), densely: the order in which rows of the matrix walk the window.
    void turn_weights(const Tensor& w, std::byte* to) const {
        const auto element = static_cast<std::int64_t>(element_bytes_);
        for (std::int64_t o = 0; o < w.shape[0]; ++o) {
            for (std::int64_t tap = 0; tap < w.shape[2] * w.shape[3]; ++tap) {
                const std::int64_t offset =
                    o * w.stride[0] + tap / w.shape[3] * w.stride[2] + tap % w.shape[3] * w.stride[3];
                for (std::int64_t c = 0; c < w.shape[1]; ++c, to += element) {
                    std::memcpy(to, static_cast<const std::byte*>(w.data) + (offset + c * w.stride[1]) * element,
                                element_bytes_);
                }
            }
        }
    }

    const Row& row_;
    std::size_t element_bytes_, matrix_bytes_ = 0, weight_bytes_ = 0, inputs_ = 0;
    bool constant_;
    std::int64_t group_ = 1;
    Unfolding unfolding_{};
    Tensor matrix_{}, weights_{}, residual_{};
    std::vector<std::unique_ptr<Step>> products_;
};

// The rows of matmul that multiply one real type, under this family's name.
struct Rows {
    std::vector<Row> own;
    std::vector<const Row*> products;

    Rows() {
        for (const Row* row : matmul_family.rows()) {
            const bool real = row->a == DType::fp32 || row->a == DType::fp64;
            if (!real || row->a != row->b || row->a != row->acc || std::strcmp(row->algorithm, "packed") != 0) continue;
            own.push_back(*row);
            own.back().family = "im2col";
            products.push_back(row);
        }
    }
};

const Rows& table() {
    static const Rows rows;
    return rows;
}

std::vector<const Row*> rows() {
    std::vector<const Row*> found;
    for (const Row& row : table().own) found.push_back(&row);
    return found;
}

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool dry) {
    const auto index = static_cast<std::size_t>(&row - table().own.data());
    return std::make_unique<Im2colStep>(desc, row, *table().products[index], dry);
}

}  // namespace

extern const Family im2col_family;
const Family im2col_family{"im2col", rows, make};

}  // namespace thew
