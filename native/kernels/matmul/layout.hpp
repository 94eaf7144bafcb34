// From a matrix product's tensors to the trunk's walks. Plan side only: included by step.cpp files.
#pragma once

#include "kernels/matmul/trunk_step.hpp"
#include "kernels/strided.hpp"

namespace thew {

// `tensor` with at least two dimensions: a vector is a row (a) or a column (b), as in NumPy.
inline Tensor as_matrix(Tensor tensor, bool vector_is_row) {
    if (tensor.rank != 1) return tensor;
    const int kept = vector_is_row ? 1 : 0;
    const std::int64_t extent = tensor.shape[0], stride = tensor.stride[0];
    tensor.rank = 2;
    tensor.shape[kept] = extent, tensor.stride[kept] = stride;
    tensor.shape[1 - kept] = 1, tensor.stride[1 - kept] = 0;
    return tensor;
}

inline Tensor insert_one(Tensor tensor, int at) {
    for (int d = tensor.rank; d > at; --d) {
        tensor.shape[d] = tensor.shape[d - 1];
        tensor.stride[d] = tensor.stride[d - 1];
    }
    tensor.shape[at] = 1, tensor.stride[at] = 1;
    tensor.rank += 1;
    return tensor;
}

inline void check_matmul_shapes(const StepDesc& desc, const Tensor& a, const Tensor& b, const Tensor& c) {
    const int batch = std::max(a.rank, b.rank) - 2;
    bool fits = c.rank == batch + 2 && a.shape[a.rank - 1] == b.shape[b.rank - 2] &&
                c.shape[c.rank - 2] == a.shape[a.rank - 2] && c.shape[c.rank - 1] == b.shape[b.rank - 1];
    for (int d = 0; fits && d < batch; ++d) {
        const int in_a = d - (c.rank - a.rank), in_b = d - (c.rank - b.rank);
        const std::int64_t of_a = in_a < 0 ? 1 : a.shape[in_a], of_b = in_b < 0 ? 1 : b.shape[in_b];
        fits = (of_a == c.shape[d] || of_a == 1) && (of_b == c.shape[d] || of_b == 1) &&
               (c.shape[d] == of_a || c.shape[d] == of_b);
    }
    require(fits, where(desc) + "shapes must be (…, m, k) by (…, k, n) into (…, m, n), got " +
                      shape_text(desc.inputs[0]) + ", " + shape_text(desc.inputs[1]) + " and " +
                      shape_text(desc.outputs[0]));
}

// Rows, items, k and b's walk, of matrices of the output's rank or less; `residual` may be null. How b is packed is the
// caller's part: what an item of it takes is `item_elements`.
inline void lay_out_matmul(Product& product, TrunkB& packed, const Tensor& a, const Tensor& b, const Tensor& c,
                           const Tensor* residual, std::int64_t k_multiple, std::int64_t vector) {
    product.m = c.shape[c.rank - 2];
    product.n = c.shape[c.rank - 1];
    product.k_real = a.shape[a.rank - 1];
    product.k = round_up(product.k_real, k_multiple);
    product.a_k = a.stride[a.rank - 1];
    product.c_n = product.n == 1 ? 1 : c.stride[c.rank - 1];
    product.residual_n = !residual || product.n == 1 ? 1 : residual->stride[c.rank - 1];
    packed.view.n = product.n;
    packed.view.n_stride = b.stride[b.rank - 1];
    packed.view.extent[0] = packed.view.extent[1] = 1;
    packed.view.extent[2] = a.shape[a.rank - 1];
    packed.view.stride[2] = b.stride[b.rank - 2];
    packed.item_elements = packed_b_elements(product.k, product.n, vector);
    for (int d = 0; d < c.rank - 1; ++d) {
        const int in_a = d - (c.rank - a.rank), in_b = d - (c.rank - b.rank);
        const bool is_m = d == c.rank - 2;
        const std::int64_t a_stride = in_a < 0 || a.shape[in_a] == 1 ? 0 : a.stride[in_a];
        const std::int64_t b_stride = is_m || in_b < 0 || b.shape[in_b] == 1 ? 0 : b.stride[in_b];
        Walk& walk = b_stride == 0 ? product.row : product.item;
        if (b_stride != 0) {
            packed.item.extent[walk.rank] = c.shape[d];
            packed.item_stride[walk.rank] = b_stride;
        }
        walk.extent[walk.rank] = c.shape[d];
        walk.a[walk.rank] = a_stride;
        walk.c[walk.rank] = c.stride[d];
        walk.residual[walk.rank] = !residual ? 0 : residual->stride[d];
        walk.rank += 1;
    }
    packed.item.rank = product.item.rank;
    std::int64_t elements = packed.item_elements;
    for (int d = product.item.rank - 1; d >= 0; --d) {
        product.item_b[d] = elements;
        elements *= product.item.extent[d];
    }
    product.items = items_of(product.item);
    product.m = items_of(product.row);
    join_strides(product.row, false, !residual);
    collapse(product.row);
}

}  // namespace thew
