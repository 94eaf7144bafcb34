"""Gradients of ops that only move data: they move it back."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from thew.dtypes import to_numpy
from thew.ops.gradients.backward import Backward, Gradients
from thew.ops.opdef import differentiate_by


def _first(back: Backward, gradient: str) -> Gradients:
    return [gradient, *[None] * (len(back.node.inputs) - 1)]


@differentiate_by("reshape", "flatten", "squeeze", "unsqueeze")
def _reshape(back: Backward) -> Gradients:
    return _first(back, back.reshaped(back.dy, back.call.shape(0)))


@differentiate_by("expand")
def _expand(back: Backward) -> Gradients:
    return _first(back, back.sum_to(back.dy, back.call.shape(0)))


@differentiate_by("transpose")
def _transpose(back: Backward) -> Gradients:
    rank = len(back.call.shape(0))
    order: tuple[int, ...] = back.call.attribute("perm") or tuple(reversed(range(rank)))
    return [back.op("transpose", back.dy, perm=tuple(order.index(axis) for axis in range(rank)))]


def _part(back: Backward, name: str, axis: int, start: int, end: int) -> str:
    return back.op("slice", name, back.ints(start), back.ints(end), back.ints(axis))


@differentiate_by("concat")
def _concat(back: Backward) -> Gradients:
    axis = back.call.attribute("axis") % len(back.shape(back.y))
    ends = [0, *accumulate(back.call.shape(index)[axis] for index in range(len(back.node.inputs)))]
    return [
        _part(back, back.dy, axis, ends[index], ends[index + 1]) if back.wants(index) else None
        for index in range(len(back.node.inputs))
    ]


@differentiate_by("split")
def _split(back: Backward) -> Gradients:
    dtype = to_numpy(back.call.type(0).dtype)
    parts = [
        back.emitter.constant(np.zeros(back.shape(name), dtype)) if gradient is None else gradient
        for name, gradient in zip(back.node.outputs, back.gradients, strict=True)
    ]
    return _first(back, back.op("concat", *parts, axis=back.call.attribute("axis")))


@differentiate_by("slice")
def _slice(back: Backward) -> Gradients:
    """Zeros around, and between where steps are longer than 1."""
    shape = back.call.shape(0)
    starts, ends = back.call.ints(1), back.call.ints(2)
    if starts is None or ends is None:
        raise back.refuse("its starts and ends must be constant")
    axes = back.call.ints(3) or tuple(range(len(starts)))
    steps = back.call.ints(4) or (1,) * len(starts)
    if any(step < 1 for step in steps):
        raise back.refuse("its steps must be at least 1")
    spread, before, after = back.dy, [0] * len(shape), [0] * len(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis %= len(shape)
        first, last, _ = slice(start, end).indices(shape[axis])
        spread = _apart(back, spread, axis, step)
        before[axis], after[axis] = first, shape[axis] - first - back.shape(spread)[axis]
        if last <= first:
            after[axis] = shape[axis] - first
    return _first(back, back.op("pad", spread, back.ints(*before, *after)))


def _apart(back: Backward, name: str, axis: int, step: int) -> str:
    """Elements along an axis with step - 1 zeros between each two."""
    shape = back.shape(name)
    count = shape[axis]
    if step == 1 or count < 2:
        return name
    rank = len(shape) + 1
    pads = [0] * rank
    split = back.reshaped(name, (*shape[:axis], count, 1, *shape[axis + 1 :]))
    padded = back.op("pad", split, back.ints(*pads, *(step - 1 if place == axis + 1 else 0 for place in range(rank))))
    whole = back.reshaped(padded, (*shape[:axis], count * step, *shape[axis + 1 :]))
    return _part(back, whole, axis, 0, (count - 1) * step + 1)


@differentiate_by("pad")
def _pad(back: Backward) -> Gradients:
    shape, pads = back.call.shape(0), back.call.ints(1)
    if pads is None or back.call.attribute("mode") != "constant" or back.call.has(3):
        raise back.refuse("it must pad all axes with a constant by constant widths")
    if any(pad < 0 for pad in pads):
        raise back.refuse("its pads must be at least 0")
    found = back.dy
    for axis, extent in enumerate(shape):
        if pads[axis] or pads[axis + len(shape)]:
            found = _part(back, found, axis, pads[axis], pads[axis] + extent)
    return _first(back, found)


@differentiate_by("gather")
def _gather(back: Backward) -> Gradients:
    how = {"axis": back.call.attribute("axis"), "input_shape": back.call.shape(0)}
    return [back.op("gather_grad", back.dy, back.node.inputs[1], **how), None]


@differentiate_by("depth_to_space")
def _depth_to_space(back: Backward) -> Gradients:
    how = {name: back.call.attribute(name) for name in ("blocksize", "mode")}
    return [back.op("space_to_depth", back.dy, **how)]


@differentiate_by("space_to_depth")
def _space_to_depth(back: Backward) -> Gradients:
    how = {name: back.call.attribute(name) for name in ("blocksize", "mode")}
    return [back.op("depth_to_space", back.dy, **how)]
