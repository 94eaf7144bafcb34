"""Functions on symbolic tensors under PyTorch's names; layers are these plus parameters.

A weight is a NumPy array or a `Tensor`. Each function adds the nodes of ONNX's op of that meaning and gives the output.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thew.errors import ShapeError, UnsupportedError
from thew.ir.graph import Array
from thew.nn.tensor import Tensor

Extent = int | Sequence[int]
Weight = Array | Tensor

_PAD_MODES = {
    "zeros": "constant",
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}


def extents(value: Extent, rank: int, what: str = "value") -> tuple[int, ...]:
    """One extent for every spatial dimension: a number stands for all."""
    result = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(result) != rank:
        raise ShapeError(f"{what}: must be a number or {rank} of them, got {value!r}")
    return result


# Convolution and products


def conv(
    x: Tensor,
    weight: Weight,
    bias: Weight | None,
    stride: Extent,
    padding: Extent | str,
    dilation: Extent,
    groups: int,
    rank: int,
) -> Tensor:
    """Convolution over `rank` spatial dimensions; padding is a number, one a dimension, ``same`` or ``valid``."""
    strides, dilations = extents(stride, rank, "conv stride"), extents(dilation, rank, "conv dilation")
    kernel = tuple(int(extent) for extent in weight.shape[2:])
    if padding == "same":
        if any(extent != 1 for extent in strides):
            raise ShapeError(f"conv: padding 'same' needs stride 1, got {stride!r}; give the padding as numbers")
        total = [dilation * (size - 1) for dilation, size in zip(dilations, kernel, strict=True)]
        pads = tuple(half // 2 for half in total) + tuple(half - half // 2 for half in total)
    elif isinstance(padding, str):
        if padding != "valid":
            raise ShapeError(f"conv: padding must be 'same', 'valid' or numbers, got {padding!r}")
        pads = (0,) * (2 * rank)
    else:
        pads = extents(padding, rank, "conv padding") * 2
    return x.op(
        "conv", weight, bias, strides=strides, pads=pads, dilations=dilations, group=groups, kernel_shape=kernel
    )


def conv1d(
    x: Tensor,
    weight: Weight,
    bias: Weight | None = None,
    stride: Extent = 1,
    padding: Extent | str = 0,
    dilation: Extent = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of (n, c, length) with weights (oc, c/groups, k)."""
    return conv(x, weight, bias, stride, padding, dilation, groups, 1)


def conv2d(
    x: Tensor,
    weight: Weight,
    bias: Weight | None = None,
    stride: Extent = 1,
    padding: Extent | str = 0,
    dilation: Extent = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of (n, c, h, w) with weights (oc, c/groups, kh, kw)."""
    return conv(x, weight, bias, stride, padding, dilation, groups, 2)


def conv_transpose2d(
    x: Tensor,
    weight: Weight,
    bias: Weight | None = None,
    stride: Extent = 1,
    padding: Extent = 0,
    output_padding: Extent = 0,
    groups: int = 1,
    dilation: Extent = 1,
) -> Tensor:
    """Transposed convolution of (n, c, h, w) with weights (c, oc/groups, kh, kw)."""
    return x.op(
        "conv_transpose",
        weight,
        bias,
        strides=extents(stride, 2, "conv_transpose stride"),
        pads=extents(padding, 2, "conv_transpose padding") * 2,
        output_padding=extents(output_padding, 2, "conv_transpose output_padding"),
        dilations=extents(dilation, 2, "conv_transpose dilation"),
        group=groups,
        kernel_shape=tuple(int(extent) for extent in weight.shape[2:]),
    )


def linear(x: Tensor, weight: Weight, bias: Weight | None = None) -> Tensor:
    """x weightᵀ + bias, for x of shape (…, in) and weights (out, in)."""
    if x.ndim == 2:
        return x.op("gemm", weight, bias, transB=1)
    turned = x.trace.node("transpose", [weight], perm=(1, 0))[0]
    product = x @ turned
    return product if bias is None else product + bias


def concat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Joins tensors along a dimension."""
    return tensors[0].op("concat", *tensors[1:], axis=dim)


cat = concat


def flatten(x: Tensor, start_dim: int = 1, end_dim: int = -1) -> Tensor:
    """Joins dimensions `start_dim` to `end_dim`, both included."""
    return x.flatten(start_dim, end_dim)


# Pooling


def max_pool(
    x: Tensor, kernel_size: Extent, stride: Extent | None, padding: Extent, dilation: Extent, ceil_mode: bool, rank: int
) -> Tensor:
    """Maximum over windows of `rank` spatial dimensions; the stride defaults to the window."""
    return x.op(
        "max_pool",
        kernel_shape=extents(kernel_size, rank, "max_pool kernel_size"),
        strides=extents(kernel_size if stride is None else stride, rank, "max_pool stride"),
        pads=extents(padding, rank, "max_pool padding") * 2,
        dilations=extents(dilation, rank, "max_pool dilation"),
        ceil_mode=int(ceil_mode),
    )


def max_pool2d(
    x: Tensor,
    kernel_size: Extent,
    stride: Extent | None = None,
    padding: Extent = 0,
    dilation: Extent = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Maximum over windows of (n, c, h, w)."""
    return max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, 2)


def avg_pool2d(
    x: Tensor,
    kernel_size: Extent,
    stride: Extent | None = None,
    padding: Extent = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Mean over windows of (n, c, h, w)."""
    return x.op(
        "average_pool",
        kernel_shape=extents(kernel_size, 2, "avg_pool2d kernel_size"),
        strides=extents(kernel_size if stride is None else stride, 2, "avg_pool2d stride"),
        pads=extents(padding, 2, "avg_pool2d padding") * 2,
        ceil_mode=int(ceil_mode),
        count_include_pad=int(count_include_pad),
    )


def adaptive_avg_pool2d(x: Tensor, output_size: int | Sequence[int | None] | None) -> Tensor:
    """Mean over windows that split (h, w) into `output_size` parts; None keeps an extent.

    Windows overlap where the parts do not divide the extent.
    """
    wanted: tuple[int | None, ...]
    wanted = (output_size,) * 2 if output_size is None or isinstance(output_size, int) else tuple(output_size)
    if wanted == (1, 1):
        return x.op("global_average_pool")
    have = x.shape[2:]
    if not all(isinstance(extent, int) for extent in have):
        raise ShapeError(
            f"adaptive_avg_pool2d to {wanted}: height and width must be numbers, got {x.shape}; fix them in graph()"
        )
    sizes = tuple(int(extent) for extent in have)
    parts = tuple(size if want is None else want for size, want in zip(sizes, wanted, strict=True))
    if sizes == parts:
        return x
    if all(size % part == 0 for size, part in zip(sizes, parts, strict=True)):
        return avg_pool2d(x, tuple(size // part for size, part in zip(sizes, parts, strict=True)))
    # Windows differ in size: the means are two small products, rows on the left and columns on the right.
    rows, columns = (averaging_matrix(size, part) for size, part in zip(sizes, parts, strict=True))
    numpy_dtype = np.float64 if x.dtype == "fp64" else np.float32
    return x.trace.node("matmul", [rows.astype(numpy_dtype), x @ columns.T.astype(numpy_dtype)])[0]


def averaging_matrix(size: int, parts: int) -> Array:
    """(parts, size): row i holds the mean over [⌊i size / parts⌋, ⌈(i + 1) size / parts⌉)."""
    matrix = np.zeros((parts, size))
    for part in range(parts):
        start, stop = part * size // parts, -(-(part + 1) * size // parts)
        matrix[part, start:stop] = 1 / (stop - start)
    return matrix


# Activations


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return x.op("relu")


def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6)."""
    return hardtanh(x, 0.0, 6.0)


def hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x held within [min_val, max_val]."""
    return x.op("clip", min_val, max_val)


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where positive, else negative_slope x."""
    return x.op("leaky_relu", alpha=negative_slope)


def prelu(x: Tensor, weight: Weight) -> Tensor:
    """x where positive, else weight x, with one weight or one a channel."""
    if isinstance(weight, np.ndarray) and weight.size > 1:
        shape = np.asarray([-1] + [1] * (x.ndim - 2), np.int64)
        weight = x.trace.node("reshape", [weight, shape])[0]
    return x.op("prelu", weight)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where positive, else alpha (eˣ - 1)."""
    return x.op("elu", alpha=alpha)


def hardswish(x: Tensor) -> Tensor:
    """x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)."""
    return x.op("hard_swish")


def hardsigmoid(x: Tensor) -> Tensor:
    """min(max(x + 3, 0), 6) / 6."""
    return x.op("hard_sigmoid", alpha=1 / 6, beta=0.5)


def silu(x: Tensor) -> Tensor:
    """x times the sigmoid of x."""
    return x.op("swish", alpha=1.0)


def mish(x: Tensor) -> Tensor:
    """x tanh(ln(1 + eˣ))."""
    return x.op("mish")


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ)."""
    return x.op("sigmoid")


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return x.op("tanh")


def softplus(x: Tensor) -> Tensor:
    """ln(1 + eˣ)."""
    return x.op("softplus")


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x; ``tanh`` approximates it (Hendrycks and Gimpel 2016)."""
    return x.op("gelu", approximate=approximate)


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """eˣ over its sum along a dimension."""
    return x.op("softmax", axis=dim)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """Logarithm of the softmax along a dimension."""
    return x.op("log_softmax", axis=dim)


# Shape


def pad(x: Tensor, padding: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """Pads as PyTorch counts: (left, right, top, bottom, …), the last dimension first."""
    if mode not in _PAD_MODES:
        raise UnsupportedError(f"pad: mode must be one of {', '.join(_PAD_MODES)}, got {mode!r}")
    pairs = [(0, 0)] * x.ndim
    for index in range(len(padding) // 2):
        pairs[-1 - index] = (padding[2 * index], padding[2 * index + 1])
    pads = np.asarray([before for before, _ in pairs] + [after for _, after in pairs], np.int64)
    return x.op("pad", pads, *([value] if _PAD_MODES[mode] == "constant" else []), mode=_PAD_MODES[mode])


def interpolate(x: Tensor, scale_factor: Sequence[float], mode: str = "nearest") -> Tensor:
    """Scales height and width; `mode` is ``nearest`` or ``bilinear`` (as with align_corners=False)."""
    scales = np.asarray([1.0, 1.0, *scale_factor], np.float32)
    if mode == "nearest":
        return x.op(
            "resize", None, scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        )
    if mode == "bilinear":
        return x.op("resize", None, scales, mode="linear", coordinate_transformation_mode="half_pixel")
    raise UnsupportedError(f"interpolate: mode must be 'nearest' or 'bilinear', got {mode!r}")
