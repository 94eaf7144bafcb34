"""Transposed convolution without scattering: each phase of its output is an ordinary convolution.

Output positions o with the same remainder r of (o + pad) by the stride see the same taps k, those with k·d ≡ r; and
among them o → o + stride moves the input position by one. So phase p is a convolution at stride 1 with every t-th tap,
reversed, written to every stride-th position of the output: kernels read weights and write images at any strides, so
nothing is copied. Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016), section 4; the
phases are those of sub-pixel convolution (Shi et al. 2016).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import gcd

import numpy as np

from thew.ir import Node
from thew.ops import Call
from thew.ops.conv import transpose_window
from thew.plan.builder import Builder, Located


@dataclass(frozen=True, slots=True)
class Phase:
    """One axis of one phase: its output positions first, first + stride, …, and the convolution that gives them.

    Tap j of `taps` is tap `last_tap` − j·`tap_step` of the weights; there is none where `taps` is 0.
    """

    first: int
    extent: int
    taps: int
    last_tap: int
    tap_step: int
    dilation: int
    pads: tuple[int, int]


def phases(given: int, extent: int, kernel: int, stride: int, dilation: int, pad: int) -> Iterator[Phase]:
    """The phases of an axis of `given` input and `extent` output positions."""
    common = gcd(stride, dilation)
    tap_step, apart = stride // common, dilation // common
    for first in range(min(stride, extent)):
        count = len(range(first, extent, stride))
        tap = next((k for k in range(min(tap_step, kernel)) if (first + pad - k * dilation) % stride == 0), None)
        if tap is None:
            yield Phase(first, count, 0, 0, tap_step, apart, (0, 0))
            continue
        taps = len(range(tap, kernel, tap_step))
        reach = (taps - 1) * apart
        begin = reach - (first + pad - tap * dilation) // stride
        yield Phase(
            first, count, taps, tap + (taps - 1) * tap_step, tap_step, apart, (begin, count + reach - given - begin)
        )


def lower_conv_transpose(builder: Builder, node: Node, call: Call) -> None:
    """Appends the phases of a transposed convolution of one or two dimensions, group by group."""
    window, group = transpose_window(call), int(call.attribute("group"))
    x, w = builder.view(node.inputs[0], "channels_last"), builder.view(node.inputs[1])
    bias = builder.view(node.inputs[2]) if node.input(2) else None
    y = builder.output(node.outputs[0], "channels_last")
    axes = zip(
        window.output, window.extents, window.kernel, window.strides, window.dilations, window.begin, strict=True
    )
    of_axis = [list(phases(*geometry)) for geometry in axes]
    channels, oc = x.shape[1] // group, y.shape[1] // group
    depthwise = channels == oc == 1
    for g in range(1 if depthwise else group):
        share = group if depthwise else 1
        x_part = x.sliced(1, g * channels * share, channels * share)
        y_part = y.sliced(1, g * oc * share, oc * share)
        w_part = w.sliced(0, g * channels * share, channels * share)
        if not depthwise:  # (c, oc, …) seen as (oc, c, …); a depthwise one is (c, 1, …) both ways
            shape, strides = ((view[1], view[0], *view[2:]) for view in (w_part.shape, w_part.strides))
            w_part = replace(w_part, shape=shape, strides=strides)
        b_part = bias and bias.sliced(0, g * oc * share, oc * share)
        for pair in product(*of_axis):
            _convolve(builder, node, x_part, w_part, b_part, y_part, pair, window.strides, share)
    builder.located[node.outputs[0]] = y


def _convolve(
    builder: Builder,
    node: Node,
    x: Located,
    w: Located,
    bias: Located | None,
    y: Located,
    pair: tuple[Phase, ...],
    strides: tuple[int, ...],
    group: int,
) -> None:
    for axis, phase in enumerate(pair):
        y = y.sliced(axis + 2, phase.first, phase.extent, strides[axis])
    if not all(phase.taps for phase in pair):
        _fill(builder, node, bias, y)
        return
    for axis, phase in enumerate(pair):
        w = w.sliced(axis + 2, phase.last_tap, phase.taps, -phase.tap_step)
    begins, ends = zip(*(phase.pads for phase in pair), strict=True)
    dilations = tuple(phase.dilation for phase in pair)
    attributes = {"pads": (*begins, *ends), "dilations": dilations, "group": group, "kernel_shape": w.shape[2:]}
    wanted = ("depthwise", "direct") if group > 1 else ("conv", "pointwise")
    rows = [*builder.target.find(*wanted, x.dtype), *builder.target.find("conv", "implicit", x.dtype)]
    inputs = [x, w] if bias is None else [x, w, bias]
    flops = 2 * int(np.prod(y.shape)) * int(np.prod(w.shape[1:]))
    builder.emit(rows, Node("conv", (), node.outputs, {}, node.name), inputs, [y], attributes, flops)


def _fill(builder: Builder, node: Node, bias: Located | None, y: Located) -> None:
    """No tap reaches these positions: they hold the bias alone."""
    if bias is not None:
        builder.copy(
            replace(bias, shape=y.shape, strides=(0, bias.strides[0], *(0,) * (len(y.shape) - 2))), y, node.name
        )
        return
    rows = list(builder.target.find("move", "strided", y.dtype))
    builder.emit(rows, Node("fill", (), node.outputs, {}, node.name), [], [y], {"value": 0.0})
