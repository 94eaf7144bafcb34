// Convolution as it was first put on matrix products (Chellapilla, Puri and Simard 2006): all patches of x are written
// to memory as a matrix, which is then multiplied by the weights. The published baseline that the other algorithms are
// measured against; conv's packers gather the same patches without the matrix.
//
//   a[(b, i, j), (h, w, c)] = x[b, g·C + c, i·s_h − p_h + h·d_h, j·s_w − p_w + w·d_w],   0 outside the image
//   y[b, g·O + o, i, j]     = activation( Σ_k a[(b, i, j), k] · w[g·O + o, k] + bias + residual )
//
// Layouts, aliasing, alignment and tails are conv's (kernels/conv/contract.hpp). The product is a step of the family
// matmul; the copy moves bytes, so that nothing here is compiled per instruction set, and there is a row for each of
// matmul's.
#pragma once

#include "base/tensor.hpp"
#include "base/workers.hpp"
#include "kernels/window.hpp"

namespace thew {

struct Unfolding {
    Tensor x;  // an image of one group; strides in elements
    Window2d window;
    std::int64_t oh, ow, element_bytes;

    std::int64_t depth() const { return window.kernel[0] * window.kernel[1] * x.shape[1]; }  // of a row of a
};

// Writes every row of a.
void unfold(const Unfolding& from, const std::byte* x, std::byte* a, const Workers& workers);

}  // namespace thew
