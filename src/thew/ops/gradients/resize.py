"""The gradient of resizing: along each axis the transpose of what it multiplies by."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import to_numpy
from thew.ir.graph import Array
from thew.ops.gradients.backward import Backward, Gradients
from thew.ops.opdef import differentiate_by, get
from thew.ops.resize import Axis, resolved_axes, samples, weights_along


@differentiate_by("resize")
def _resize(back: Backward) -> Gradients:
    axes = resolved_axes(back.call)
    if axes is None or back.call.attribute("coordinate_transformation_mode") == "tf_crop_and_resize":
        raise back.refuse("its scales or sizes must be constant, and it must not crop")
    total = _summed_copies(back, axes)
    if total is None:
        total = back.dy
        for place in sorted(range(len(axes)), key=lambda place: axes[place].extent - axes[place].output):
            if not axes[place].is_kept:
                total = _along(back, total, place, axes[place])
    return [total, *[None] * (len(back.node.inputs) - 1)]


def _summed_copies(back: Backward, axes: Sequence[Axis]) -> str | None:
    """Of pictures whose pixels are repeated a whole number of times each way: the sum over the copies."""
    if back.call.attribute("mode") != "nearest" or len(axes) < 3 or not all(axis.is_kept for axis in axes[:2]):
        return None
    kernel = tuple(axis.output // max(axis.extent, 1) for axis in axes[2:])
    for axis, factor in zip(axes[2:], kernel, strict=True):
        if not np.array_equal(_sources(back, axis), np.repeat(np.arange(axis.extent), factor)):
            return None
    return back.op("average_pool", back.scaled(back.dy, prod(kernel)), kernel_shape=kernel, strides=kernel)


def _sources(back: Backward, axis: Axis) -> Array:
    return samples(axis, _attributes(back))[0][:, 0]


def _attributes(back: Backward) -> dict[str, Any]:
    return {**get("resize").attributes, **back.node.attributes}


def _along(back: Backward, dy: str, place: int, axis: Axis) -> str:
    """The gradient of resizing along one axis, from that of its result."""
    shape = back.shape(dy)
    if back.call.attribute("mode") == "nearest":
        wanted = (*shape[:place], axis.extent, *shape[place + 1 :])
        return back.op("gather_grad", dy, back.ints(*_sources(back, axis)), axis=place, input_shape=wanted)
    weights = weights_along(axis, _attributes(back)).astype(to_numpy(back.emitter.type_of(dy).dtype))
    if place == len(shape) - 2:
        return back.op("matmul", back.emitter.constant(np.ascontiguousarray(weights.T)), dy)
    order = list(range(len(shape)))
    order[place], order[-1] = order[-1], order[place]
    turned = dy if place == len(shape) - 1 else back.op("transpose", dy, perm=tuple(order))
    product = back.op("matmul", turned, back.emitter.constant(weights))
    return product if turned == dy else back.op("transpose", product, perm=tuple(order))
