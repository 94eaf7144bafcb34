"""Ops that read or write elements by number: gather, gather_elements, gather_nd, scatter_elements, scatter_nd and
one_hot.

Indices come from data: each reference checks their range before it uses them, and counts negative ones from the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import NATIVE
from thew.errors import ModelError
from thew.ir.graph import Array, Attribute
from thew.ops.opdef import Call, Candidate, OpDef, define
from thew.ops.rules import INTEGERS, NUMBERS, Shape, axis_of, dtype_of, rank_at_least, scalar_of, typed


def _no_flops(call: Call) -> int:
    return 0


def _with_indices(*others: int) -> Callable[[Call], str]:
    """The dtype of input 0 (and of the others), where input 1 is integers."""

    def rule(call: Call) -> str:
        dtype_of(1, among=INTEGERS)(call)
        return dtype_of(0, *others)(call)

    return rule


def within(op: str, indices: Array, extent: int) -> Array:
    """The indices counted from the front. Raises ModelError for one that is out of range."""
    low, high = (int(indices.min()), int(indices.max())) if indices.size else (0, -1)
    if low < -extent or high >= extent:
        raise ModelError(f"{op}: indices must be within [{-extent}, {extent - 1}], got {low} to {high}")
    signed = indices.astype(np.int64)
    return np.asarray(np.where(signed < 0, signed + extent, signed))


def _gather_shapes(call: Call) -> list[Shape | None]:
    shape = rank_at_least(call, 1)
    axis = axis_of(call, call.attribute("axis"), len(shape))
    return [shape[:axis] + call.shape(1) + shape[axis + 1 :]]


def _gather(attributes: Mapping[str, Any], x: Array, indices: Array) -> list[Array]:
    axis = attributes["axis"]
    return [np.take(x, within("gather", indices, x.shape[axis]), axis=axis)]


define(
    OpDef(
        "gather",
        typed(_gather_shapes, _with_indices()),
        _gather,
        {"axis": 0},
        (2, 2),
        flops=_no_flops,
        candidates=(Candidate("move", "strided", dtypes=NATIVE),),
    )
)


def _check_elements(call: Call) -> int:
    shape, indices = rank_at_least(call, 1), call.shape(1)
    axis = axis_of(call, call.attribute("axis"), len(shape))
    fits = len(indices) == len(shape) and all(
        a <= b for i, (a, b) in enumerate(zip(indices, shape, strict=True)) if i != axis
    )
    if not fits:
        raise call.refuse(
            f"indices must have the rank of input 0 and fit it but for axis {axis}, got {indices} for {shape}"
        )
    return axis


def _gather_elements_shapes(call: Call) -> list[Shape | None]:
    _check_elements(call)
    return [call.shape(1)]


def element_places(op: str, shape: Shape, indices: Array, axis: int) -> tuple[Array, ...]:
    """An index for every axis: along `axis` the given ones, along the rest the element's own place."""
    own = np.indices(indices.shape, sparse=True)
    return tuple(within(op, indices, shape[axis]) if i == axis % len(shape) else own[i] for i in range(len(shape)))


def _gather_elements(attributes: Mapping[str, Any], x: Array, indices: Array) -> list[Array]:
    return [x[element_places("gather_elements", x.shape, indices, attributes["axis"])]]


define(
    OpDef(
        "gather_elements",
        typed(_gather_elements_shapes, _with_indices()),
        _gather_elements,
        {"axis": 0},
        (2, 2),
        flops=_no_flops,
    )
)


def _gather_nd_shapes(call: Call) -> list[Shape | None]:
    shape, indices = rank_at_least(call, 1), rank_at_least(call, 1, 1)
    batch = call.attribute("batch_dims")
    if not 0 <= batch < min(len(shape), len(indices)) or shape[:batch] != indices[:batch]:
        raise call.refuse(f"batch_dims must count leading dimensions in common, got {batch} for {shape} and {indices}")
    if indices[-1] > len(shape) - batch:
        raise call.refuse(f"indices must have at most {len(shape) - batch} numbers each, got {indices[-1]}")
    return [indices[:-1] + shape[batch + indices[-1] :]]


def _gather_nd(attributes: Mapping[str, Any], x: Array, indices: Array) -> list[Array]:
    batch, depth = attributes["batch_dims"], indices.shape[-1]
    lead: Sequence[Array] = np.indices(indices.shape[:-1], sparse=True)[:batch]
    axes = [within("gather_nd", indices[..., i], x.shape[batch + i]) for i in range(depth)]
    if not lead and not axes:
        return [np.broadcast_to(x, indices.shape[:-1] + x.shape)]
    shape = indices.shape[:-1] + x.shape[batch + depth :]
    if not axes:
        wide = [np.broadcast_to(place, indices.shape[:-1]) for place in lead]
        return [x[tuple(wide)].reshape(shape)]
    return [x[(*lead, *axes)].reshape(shape)]


define(
    OpDef(
        "gather_nd", typed(_gather_nd_shapes, _with_indices()), _gather_nd, {"batch_dims": 0}, (2, 2), flops=_no_flops
    )
)

_REDUCTIONS: Mapping[str, Any] = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _check_reduction(call: Call) -> None:
    if call.attribute("reduction") not in ("none", *_REDUCTIONS):
        raise call.refuse(f"reduction must be none, {', '.join(_REDUCTIONS)}, got {call.attribute('reduction')!r}")


def _scatter_elements_shapes(call: Call) -> list[Shape | None]:
    _check_reduction(call)
    _check_elements(call)
    if call.shape(2) != call.shape(1):
        raise call.refuse(f"updates must have the shape of the indices {call.shape(1)}, got {call.shape(2)}")
    return [call.shape(0)]


def _scatter(y: Array, places: tuple[Array, ...], updates: Array, reduction: str) -> None:
    if reduction == "none":
        y[places] = updates
    else:
        _REDUCTIONS[reduction].at(y, places, updates)


def _scatter_elements(attributes: Mapping[str, Any], x: Array, indices: Array, updates: Array) -> list[Array]:
    y = x.copy()
    _scatter(
        y, element_places("scatter_elements", x.shape, indices, attributes["axis"]), updates, attributes["reduction"]
    )
    return [y]


_SCATTER: Mapping[str, Attribute] = {"axis": 0, "reduction": "none"}
define(
    OpDef(
        "scatter_elements",
        typed(_scatter_elements_shapes, _with_indices(2)),
        _scatter_elements,
        _SCATTER,
        (3, 3),
        flops=_no_flops,
    )
)


def _scatter_nd_shapes(call: Call) -> list[Shape | None]:
    _check_reduction(call)
    shape, indices = rank_at_least(call, 1), rank_at_least(call, 1, 1)
    if indices[-1] > len(shape):
        raise call.refuse(f"indices must have at most {len(shape)} numbers each, got {indices[-1]}")
    if call.shape(2) != indices[:-1] + shape[indices[-1] :]:
        raise call.refuse(f"updates must have shape {indices[:-1] + shape[indices[-1] :]}, got {call.shape(2)}")
    return [shape]


def _scatter_nd(attributes: Mapping[str, Any], x: Array, indices: Array, updates: Array) -> list[Array]:
    y, depth, count = x.copy(), indices.shape[-1], prod(indices.shape[:-1])
    flat = indices.reshape(count, depth)
    rows = np.zeros(count, np.int64)
    for i in range(depth):
        rows = rows * x.shape[i] + within("scatter_nd", flat[:, i], x.shape[i])
    view = y.reshape(prod(x.shape[:depth]), prod(x.shape[depth:]))
    _scatter(
        view,
        (rows,),
        updates.reshape(count, -1) if count else updates.reshape(0, view.shape[1]),
        attributes["reduction"],
    )
    return [view.reshape(x.shape)]


define(
    OpDef(
        "scatter_nd",
        typed(_scatter_nd_shapes, _with_indices(2)),
        _scatter_nd,
        {"reduction": "none"},
        (3, 3),
        flops=_no_flops,
    )
)


def _one_hot_shapes(call: Call) -> list[Shape | None]:
    shape, depth = call.shape(0), scalar_of(call, 1, "depth", NUMBERS)
    if call.shape(2) != (2,):
        raise call.refuse(f"values must be (off, on), got shape {call.shape(2)}")
    axis = axis_of(call, call.attribute("axis"), len(shape) + 1)
    if depth is None:
        return [None]
    if not 0 <= depth < 1 << 40:
        raise call.refuse(f"depth must be at least 0, got {depth}")
    return [(*shape[:axis], int(depth), *shape[axis:])]


def _one_hot(attributes: Mapping[str, Any], indices: Array, depth: Array, values: Array) -> list[Array]:
    count, axis = int(depth.reshape(-1)[0]), attributes["axis"]
    whole = indices.astype(np.int64)
    wanted = np.where((whole < 0) & (whole >= -count), whole + count, whole)
    classes = np.arange(count).reshape(-1, *(1,) * (indices.ndim - (axis % (indices.ndim + 1))))
    return [np.where(np.expand_dims(wanted, axis) == classes, values[1], values[0]).astype(values.dtype)]


def _one_hot_dtype(call: Call) -> str:
    dtype_of(0, among=NUMBERS)(call)
    return dtype_of(2)(call)


define(OpDef("one_hot", typed(_one_hot_shapes, _one_hot_dtype), _one_hot, {"axis": -1}, (3, 3), flops=_no_flops))
