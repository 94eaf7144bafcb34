"""Turns transposed convolutions of few channels into one convolution, whose channels are all phases of their output.

Along an axis phase r of s holds the outputs at s·q + r − pad, which see every s-th tap from r on. (What is not turned
here `thew.plan.transposed` convolves phase by phase.) With zeros behind the taps, up to T·s of them, all phases have T
taps and the same windows:

    z[(o, r), q] = Σ_{c, t} x[c, q − t] · w[c, o, s·t + r]        y[o, s·q + r − pad] = z[(o, r), q]

A phase of few channels leaves most columns of a product's tile empty; side by side they fill it, x is gathered once,
and windows are small enough at stride 1 for Winograd's algorithm. Sub-pixel convolution: Shi et al. 2016. Volumes are
all turned, since `lower_volumes` can run what comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod

from thew.ir import Graph
from thew.ops import Call, conv
from thew.ops.window import Window
from thew.passes.editor import Editor
from thew.passes.nodes import Nodes

COLUMNS = 16  # of a product's tile: what has fewer takes as long


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of the joined convolution: windows, their taps and pads; its output is what follows an offset."""

    stride: int
    taps: int
    windows: int
    begin: int
    end: int
    offset: int
    extent: int


def join_phases(graph: Graph) -> Graph:
    """The graph with one convolution in place of the phases of a transposed one, where it takes fewer products."""
    editor = Editor(graph)
    for node in editor.walk():
        call = editor.static_call(node) if node.op == "conv_transpose" else None
        if call is None or 0 in (*call.shape(0), *call.shape(1)):
            continue
        window = conv.transpose_window(call)
        axes = _axes(window)
        if axes and _is_worth_it(call, window, axes):
            made = Nodes(editor, node)
            made.end(_joined(made, call, axes))
    return editor.graph()


def _axes(window: Window) -> list[_Axis]:
    """The axes, or none where phases are not alike or reach no tap, or more is cut off than a window has."""
    if set(window.dilations) != {1} or 0 in window.extents:
        return []
    axes = []
    for given, extent, kernel, stride, pad in zip(
        window.output, window.extents, window.kernel, window.strides, window.begin, strict=True
    ):
        taps, first = -(-kernel // stride), pad // stride
        windows = (pad + extent - 1) // stride - first + 1
        begin = taps - 1 - first
        axes.append(_Axis(stride, taps, windows, begin, windows + taps - 1 - given - begin, pad % stride, extent))
        if stride > kernel or axes[-1].begin < 0 or axes[-1].end < 0:
            return []
    return axes


def _is_worth_it(call: Call, window: Window, axes: Sequence[_Axis]) -> bool:
    """Whether it takes fewer columns, those that a tile leaves empty among them; of a depthwise one there are none."""
    channels, oc = call.shape(1)[0] // call.attribute("group"), call.shape(1)[1]
    if len(axes) > 2:
        return True
    joined = prod(axis.taps for axis in axes) * _columns(oc * prod(window.strides))
    return not channels == oc == 1 < call.attribute("group") and joined < prod(window.kernel) * _columns(oc)


def _columns(channels: int) -> int:
    return -(-channels // COLUMNS) * COLUMNS


def _joined(made: Nodes, call: Call, axes: Sequence[_Axis]) -> str:
    group, oc = call.attribute("group"), call.shape(1)[1]
    x, w, *bias = call.node.inputs
    phases, channels = prod(axis.stride for axis in axes), oc * group
    inputs = [x, _weights(made, w, call, axes)]
    if call.has(2):
        wide = made.add("expand", made.reshape(bias[0], channels, 1), made.integers((channels, phases)))
        inputs.append(made.reshape(wide, channels * phases))
    pads = (*(axis.begin for axis in axes), *(axis.end for axis in axes))
    y = made.add("conv", *inputs, group=group, kernel_shape=tuple(axis.taps for axis in axes), pads=pads)
    y = _apart(made, y, (call.shape(0)[0], channels), axes)
    cut = [(place, axis) for place, axis in enumerate(axes, 2) if axis.windows * axis.stride != axis.extent]
    if not cut:
        return y
    bounds = zip(*((axis.offset, axis.offset + axis.extent, place) for place, axis in cut), strict=True)
    return made.add("slice", y, *map(made.integers, bounds))


def _weights(made: Nodes, w: str, call: Call, axes: Sequence[_Axis]) -> str:
    """(group·c, oc, k…) as (group·oc·phases, c, taps…), the taps the other way round."""
    group, spatial, (channels, oc, *kernel) = call.attribute("group"), len(axes), call.shape(1)
    c = channels // group
    lead = (group, c) if group > 1 else (c,)  # an axis less: plans have few
    behind = [axis.taps * axis.stride - extent for axis, extent in zip(axes, kernel, strict=True)]
    if any(behind):
        w = made.add("pad", w, made.integers((*(0,) * (spatial + 4), *behind)))
    split = made.reshape(w, *lead, oc, *chain.from_iterable((axis.taps, axis.stride) for axis in axes))
    first = len(lead) + 1
    taps, phases = (range(first + start, first + 2 * spatial, 2) for start in (0, 1))
    turned = made.transpose(split, *range(first - 2), first - 1, *phases, first - 2, *taps)
    extents = [axis.taps for axis in axes]
    found = made.reshape(turned, group * oc * prod(axis.stride for axis in axes), c, *extents)
    for place, extent in enumerate(extents, 2):
        if extent > 1:
            found = made.add("gather", found, made.integers(range(extent - 1, -1, -1)), axis=place)
    return found


def _apart(made: Nodes, z: str, images: tuple[int, int], axes: Sequence[_Axis]) -> str:
    """(n, channels·phases, windows…) as (n, channels, windows·stride…)."""
    strides = [axis.stride for axis in axes]
    if prod(strides) == 1:
        return z
    if len(axes) == 2 and len(set(strides)) == 1:
        return made.add("depth_to_space", z, blocksize=strides[0], mode="CRD")
    split = made.reshape(z, *images, *strides, *(axis.windows for axis in axes))
    spatial = range(2, len(axes) + 2)
    mixed = made.transpose(split, 0, 1, *chain.from_iterable((place + len(axes), place) for place in spatial))
    return made.reshape(mixed, *images, *(axis.windows * axis.stride for axis in axes))
