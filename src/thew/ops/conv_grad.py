"""Gradients of a convolution, for its input and for its weights, as ops of their own.

conv_grad_input:  dx[n, i, p·stride − pad + k·dilation] = Σ dy[n, o, p] · w[o, i, k], the transpose of the convolution.
conv_grad_weight: dw[o, i, k] = Σ dy[n, o, p] · x[n, i, p·stride − pad + k·dilation].

The window attributes are the convolution's. What cannot be read off the inputs is an attribute: `input_shape`, the
whole shape of x, and `kernel_shape`, the kernel's spatial extents. References sum in fp64, tap by tap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import FLOATS, size_bytes
from thew.ir.graph import Array, TensorType
from thew.ops.conv import (
    PACKED_BLOCK_BYTES,
    WINDOW,
    is_planar,
    is_pointwise,
    output_shape,
    suits_batches,
    suits_planes,
    window,
    winograd,
)
from thew.ops.opdef import Call, Candidate, OpDef, Work, call_of, define
from thew.ops.rules import Shape, dtype_of, rank_at_least, shape_attribute, typed, widened

_WIDE_SUMS = ("fp32", "fp64")  # of Winograd's products: gradients are too small and sums over tiles too long for fp16


def forward_call(call: Call) -> Call:
    """The node as the convolution whose gradient it is: of inputs x and w, with the same window."""
    gradient, other = rank_at_least(call, 3), rank_at_least(call, 3, 1)
    dtype, group = call.type(0).dtype, call.attribute("group")
    if call.node.op == "conv_grad_input":
        x, w = shape_attribute(call, "input_shape"), other
    else:
        x, w = other, (gradient[1], other[1] // max(group, 1), *shape_attribute(call, "kernel_shape"))
    forward = Call(call.node, (TensorType(dtype, x), TensorType(dtype, w)), (None, None))
    if output_shape(forward) != gradient:
        raise call.refuse(f"dy must have the convolution's output shape {output_shape(forward)}, got {gradient}")
    return forward


def _input_shapes(call: Call) -> list[Shape | None]:
    return [forward_call(call).shape(0)]


def _weight_shapes(call: Call) -> list[Shape | None]:
    return [forward_call(call).shape(1)]


def _flops(call: Call) -> int:
    forward = forward_call(call)
    return 2 * prod(output_shape(forward)) * prod(forward.shape(1)[1:])


def _suits_batches(call: Call) -> bool:
    channels = forward_call(call).shape(1)[:2]
    return call.attribute("group") == 1 and is_planar(call) and suits_batches(call.shape(0)[0], *channels)


def _suits_planes(call: Call) -> bool:
    return is_planar(call) and suits_planes(call, forward_call(call).shape(1)[:2])


def _by_planes(call: Call) -> Work:
    """Vectors run along rows of dx, or of dy for the weights; what is gathered is copied once."""
    forward = forward_call(call)
    width = (call.shape(0) if call.node.op == "conv_grad_weight" else forward.shape(0))[-1]
    copied = 2 * size_bytes(call.type(0).dtype) * (prod(call.shape(0)) + prod(forward.shape(0)))
    return Work(_flops(call) // 2, width, copied, copied // 2)


def _product(call: Call) -> Work:
    """What a gradient takes on the trunk: its columns are input channels, or for the weights output channels."""
    oc, columns, *_ = forward_call(call).shape(1)
    if call.node.op == "conv_grad_weight":
        columns = oc // call.attribute("group")
    gathered = prod(call.shape(0)) * size_bytes(call.type(0).dtype) * 2
    return Work(_flops(call) // 2, columns, gathered, PACKED_BLOCK_BYTES)


def _gathered_product(call: Call) -> Work:
    """The same where patches are packed: of dy for each pixel of x, or of x for each pixel of dy beside dy."""
    forward, plain = forward_call(call), _product(call)
    strides, taps = window(forward).strides, prod(forward.shape(1)[2:])
    n, oc, *pixels = call.shape(0)
    patches = n * prod(pixels) * forward.shape(0)[1] * taps
    if call.node.op == "conv_grad_input":
        patches = prod(forward.shape(0)) // max(forward.shape(0)[1], 1) * oc * taps // prod(strides)
    packed = 2 * patches * size_bytes(call.type(0).dtype)
    beside = plain.moved_bytes if call.node.op == "conv_grad_weight" else 0
    return replace(plain, moved_bytes=packed + beside)


def joins_taps(call: Call) -> bool:
    """Whether for images with channels last the taps of a row of the window are one run: its gradient then fills
    vectors however few the channels are.
    """
    found = window(forward_call(call))
    inside = not found.begin[-1] and not found.end[-1]
    return call.attribute("group") == 1 and found.dilations[-1] == 1 and inside


def _is_pointwise(call: Call) -> bool:
    return is_pointwise(forward_call(call))


def _is_depthwise(call: Call) -> bool:
    """Whether every group has one channel on either side."""
    forward = forward_call(call)
    return is_planar(call) and call.attribute("group") == forward.shape(1)[0] == forward.shape(0)[1] > 1


def _backward(call: Call) -> tuple[Call, Shape]:
    forward = forward_call(call)
    return forward, forward.shape(0)


def _backward_weight(call: Call) -> tuple[Call, Shape]:
    """Tiles are dy's: they are what products sum over."""
    forward = forward_call(call)
    return forward, output_shape(forward)


def _grouped(array: Array, group: int, spatial: Shape) -> Array:
    """(n, channels, spatial…) as (group, channels/group, n, spatial…) in fp64."""
    wide = widened(array)
    return np.moveaxis(wide.reshape(wide.shape[0], group, wide.shape[1] // group, *spatial), 0, 2)


def _input_reference(attributes: Mapping[str, Any], dy: Array, w: Array) -> list[Array]:
    forward = forward_call(call_of("conv_grad_input", attributes, (dy, w)))
    found, group = window(forward), attributes["group"]
    n, c, oc = dy.shape[0], forward.shape(0)[1], w.shape[0]
    gradient = _grouped(dy, group, found.output)
    weights = widened(w).reshape(group, oc // group, c // group, *found.kernel)
    total = np.zeros((group, c // group, n, *found.extents))
    for tap, out, into in found.taps() if gradient.size and weights.size else ():
        patch = gradient[out]
        part = np.matmul(np.swapaxes(weights[tap], 1, 2), patch.reshape(group, oc // group, -1))
        total[into] += part.reshape(group, c // group, *patch.shape[2:])
    return [np.moveaxis(total.reshape(c, n, *found.extents), 0, 1).astype(dy.dtype)]


def _weight_reference(attributes: Mapping[str, Any], dy: Array, x: Array) -> list[Array]:
    forward = forward_call(call_of("conv_grad_weight", attributes, (dy, x)))
    found, group = window(forward), attributes["group"]
    oc, c = dy.shape[1], x.shape[1]
    gradient, images = _grouped(dy, group, found.output), _grouped(x, group, found.extents)
    total = np.zeros((group, oc // group, c // group, *found.kernel))
    for tap, out, into in found.taps() if gradient.size and images.size else ():
        left = gradient[out].reshape(group, oc // group, -1)
        right = images[into].reshape(group, c // group, -1)
        total[tap] = np.matmul(left, np.swapaxes(right, 1, 2))
    return [total.reshape(forward.shape(1)).astype(dy.dtype)]


define(
    OpDef(
        "conv_grad_input",
        typed(_input_shapes, dtype_of(0, 1, among=FLOATS)),
        _input_reference,
        {**WINDOW, "input_shape": ()},
        inputs=(2, 2),
        flops=_flops,
        weights=((1,), ()),
        candidates=(
            Candidate("conv_batch", "direct", "batch_innermost", _suits_batches),
            Candidate("conv_planes", "direct", "plain", _suits_planes, work=_by_planes),
            Candidate("depthwise", "direct", "channels_last", _is_depthwise, FLOATS),
            Candidate(
                "conv",
                "pointwise",
                "channels_last",
                lambda call: is_planar(call) and _is_pointwise(call),
                work=_product,
            ),
            Candidate("conv", "implicit", "channels_last", is_planar, FLOATS, work=_gathered_product),
            *winograd(_backward, _WIDE_SUMS),
        ),
    )
)
define(
    OpDef(
        "conv_grad_weight",
        typed(_weight_shapes, dtype_of(0, 1, among=FLOATS)),
        _weight_reference,
        WINDOW,
        inputs=(2, 2),
        flops=_flops,
        weights=((), (0,)),
        candidates=(
            Candidate("conv_batch", "direct", "batch_innermost", _suits_batches),
            Candidate("conv_planes", "direct", "plain", _suits_planes, work=_by_planes),
            Candidate("depthwise", "gradient", "channels_last", _is_depthwise, FLOATS),
            Candidate("conv", "implicit", "channels_last", is_planar, FLOATS, work=_gathered_product),
            *winograd(_backward_weight, _WIDE_SUMS),
        ),
    )
)
