"""Gradients of ops that only move data: they move it back."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from thew.dtypes import to_numpy
from thew.ops.gradients.backward import Backward, Gradients
from thew.ops.opdef import differentiate_by
from thew.ops.slice import pad_sources, resolved_pad


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
    """What lies within is cut out; what repeats elements adds to them; what was cropped has none."""
    pads, mode = resolved_pad(back.call), back.call.attribute("mode")
    if pads is None:
        raise back.refuse("its pads and axes must be constant")
    found = back.dy
    for axis, (extent, (before, after)) in enumerate(zip(back.call.shape(0), pads, strict=True)):
        first = min(max(-before, 0), extent)
        kept = max(extent - max(-after, 0) - first, 0)
        if mode == "constant" and max(before, after) > 0:
            found = _part(back, found, axis, first + before, first + before + kept)
        elif mode != "constant" and max(before, after) > 0:
            sources = pad_sources(mode, kept, max(before, 0), max(after, 0))
            shape = (*back.shape(found)[:axis], kept, *back.shape(found)[axis + 1 :])
            found = back.op("gather_grad", found, back.ints(*sources), axis=axis, input_shape=shape)
        if kept < extent:
            found = _padded(back, found, axis, first, extent - first - kept)
    return _first(back, found)


def _padded(back: Backward, name: str, axis: int, before: int, after: int) -> str:
    """Zeros before and after along an axis."""
    sides = [0] * (2 * len(back.shape(name)))
    sides[axis], sides[axis + len(sides) // 2] = before, after
    return back.op("pad", name, back.ints(*sides))


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
