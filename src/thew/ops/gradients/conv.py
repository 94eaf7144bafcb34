"""Gradients of convolutions: each is a convolution's gradient op, or a convolution."""

from __future__ import annotations

from typing import Any

from thew.ops import conv
from thew.ops.gradients.backward import Backward, Gradients
from thew.ops.opdef import differentiate_by
from thew.ops.window import Window


def _geometry(back: Backward, found: Window) -> dict[str, Any]:
    return {
        "group": back.call.attribute("group"),
        "pads": tuple(map(int, found.pads)),
        "strides": tuple(map(int, found.strides)),
        "dilations": tuple(map(int, found.dilations)),
    }


def _bias(back: Backward) -> str:
    rank = len(back.shape(back.dy))
    return back.summed(back.dy, [0, *range(2, rank)])


@differentiate_by("conv")
def _conv(back: Backward) -> Gradients:
    found = conv.window(back.call)
    geometry = _geometry(back, found)
    x, w = back.node.inputs[:2]
    grads: list[str | None] = [None] * len(back.node.inputs)
    if back.wants(1):
        grads[1] = back.op("conv_grad_weight", back.dy, x, kernel_shape=found.kernel, **geometry)
    if back.wants(2):
        grads[2] = _bias(back)
    if back.wants(3):
        grads[3] = back.sum_to(back.dy, back.call.shape(3))
    if back.wants(0):
        grads[0] = back.op("conv_grad_input", back.dy, w, input_shape=back.call.shape(0), **geometry)
    return grads


@differentiate_by("conv_transpose")
def _conv_transpose(back: Backward) -> Gradients:
    """y is the input's gradient of a convolution: x stands for that one's dy, and y for its x."""
    found = conv.transpose_window(back.call)
    dy, geometry = _reached(back, found)
    x, w = back.node.inputs[:2]
    grads: list[str | None] = [None] * len(back.node.inputs)
    if back.wants(1):
        grads[1] = back.op("conv_grad_weight", x, dy, kernel_shape=found.kernel, **geometry)
    if back.wants(2):
        grads[2] = _bias(back)
    if back.wants(0):
        grads[0] = back.op("conv", dy, w, kernel_shape=found.kernel, **geometry)
    return grads


def _reached(back: Backward, found: Window) -> tuple[str, dict[str, Any]]:
    """The part of dy that the windows reach, and a geometry with as many windows as x has places."""
    dy, end = back.dy, []
    for axis, (n, extent) in enumerate(zip(found.output, found.extents, strict=True)):
        span = (found.kernel[axis] - 1) * found.dilations[axis] + 1
        needed = (n - 1) * found.strides[axis] + span - found.begin[axis]
        if needed < extent:  # output_padding has added places that nothing reaches
            dy = back.op("slice", dy, back.ints(0), back.ints(max(needed, 0)), back.ints(axis + 2))
        end.append(max(needed - extent, 0))
    return dy, {**_geometry(back, found), "pads": (*map(int, found.begin), *end)}
