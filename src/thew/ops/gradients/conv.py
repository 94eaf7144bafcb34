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
    geometry = _geometry(back, found)
    x, w = back.node.inputs[:2]
    grads: list[str | None] = [None] * len(back.node.inputs)
    if back.wants(1):
        grads[1] = back.op("conv_grad_weight", x, back.dy, kernel_shape=found.kernel, **geometry)
    if back.wants(2):
        grads[2] = _bias(back)
    if back.wants(0):
        grads[0] = back.op("conv", back.dy, w, kernel_shape=found.kernel, **geometry)
    return grads
