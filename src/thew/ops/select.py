"""Ops that choose elements: compress, non_zero, top_k, unique, reverse_sequence. Shapes may depend on data."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from thew.errors import ModelError
from thew.ir.graph import Array
from thew.ops.opdef import Call, OpDef, define
from thew.ops.rules import NUMBERS, Shape, axis_of, dtype_of, first_dtype, rank_at_least, scalar_of, typed


def _optional_axis(call: Call) -> int | None:
    axis = call.attribute("axis")
    return None if axis is None else axis_of(call, axis, len(call.shape(0)))


def _compress_dtype(call: Call) -> str:
    dtype_of(1, among=("bool",))(call)
    return first_dtype(call)


def _compress_shapes(call: Call) -> list[Shape | None]:
    shape, axis, condition = rank_at_least(call, 1), _optional_axis(call), call.value(1)
    if len(call.shape(1)) != 1:
        raise call.refuse(f"condition must have one dimension, got shape {call.shape(1)}")
    extent = prod(shape) if axis is None else shape[axis]
    if condition is None:
        return [None]
    count = int(np.count_nonzero(condition[:extent]))
    return [(count,) if axis is None else (*shape[:axis], count, *shape[axis + 1 :])]


def _compress(attributes: Mapping[str, Any], x: Array, condition: Array) -> list[Array]:
    axis = attributes["axis"]
    return [np.compress(condition[: x.size if axis is None else x.shape[axis]], x, axis=axis)]


define(OpDef("compress", typed(_compress_shapes, _compress_dtype), _compress, {"axis": None}, (2, 2)))


def _non_zero(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    return [np.array(np.nonzero(np.atleast_1d(x)), np.int64)]


define(OpDef("non_zero", typed(lambda call: [None], "int64"), _non_zero))


def _top_k_shapes(call: Call) -> list[Shape | None]:
    shape, count = rank_at_least(call, 1), scalar_of(call, 1, "k")
    axis = axis_of(call, call.attribute("axis"), len(shape))
    if count is None:
        return [None, None]
    if not 0 <= count <= shape[axis]:
        raise call.refuse(f"k must be within [0, {shape[axis]}], got {count}")
    return [(*shape[:axis], int(count), *shape[axis + 1 :])] * 2


def _top_k(attributes: Mapping[str, Any], x: Array, k: Array) -> list[Array]:
    axis, count = attributes["axis"] % x.ndim, int(k.reshape(-1)[0])
    extent = x.shape[axis]
    if not 0 <= count <= extent:
        raise ModelError(f"top_k: k must be within [0, {extent}], got {count}")
    keys = x.astype(np.float64) if x.dtype.kind == "V" else x
    if attributes["largest"]:
        # A stable sort of the reversed axis, reversed: equal elements stay in their order.
        order = extent - 1 - np.flip(np.argsort(np.flip(keys, axis), axis=axis, kind="stable"), axis)
    else:
        order = np.argsort(keys, axis=axis, kind="stable")
    chosen = np.take(order, np.arange(count), axis)
    return [np.take_along_axis(x, chosen, axis), chosen.astype(np.int64)]


_TOP_K = {"axis": -1, "largest": 1, "sorted": 1}
define(OpDef("top_k", typed(_top_k_shapes, dtype_of(0, among=NUMBERS), "int64"), _top_k, _TOP_K, (2, 2), (1, 2)))


def _unique_shapes(call: Call) -> list[Shape | None]:
    shape, axis = call.shape(0), _optional_axis(call)
    if axis is not None and not prod(shape) and shape[axis] > 1 << 20:
        raise call.refuse(f"input 0 must have elements, got shape {shape}")  # its indices would fill memory
    return [None] * 4


def _unique(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    axis = attributes["axis"]
    keys = x.astype(np.float64) if x.dtype.kind == "V" else x
    _, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True, axis=axis)
    inverse = inverse.reshape(-1)
    if not attributes["sorted"]:
        order = np.argsort(first)
        first, counts = first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    values = x.reshape(-1)[first] if axis is None else np.take(x, first, axis)
    return [values, first.astype(np.int64), inverse.astype(np.int64), counts.astype(np.int64)]


define(
    OpDef("unique", typed(_unique_shapes, first_dtype, "int64"), _unique, {"axis": None, "sorted": 1}, outputs=(1, 4))
)


def _reverse_shapes(call: Call) -> list[Shape | None]:
    shape, axes = rank_at_least(call, 2), (call.attribute("batch_axis"), call.attribute("time_axis"))
    if set(axes) != {0, 1}:
        raise call.refuse(f"batch_axis and time_axis must be 0 and 1, got {axes}")
    dtype_of(1, among=("int64",))(call)
    if call.shape(1) != (shape[axes[0]],):
        raise call.refuse(f"sequence_lens must have shape ({shape[axes[0]]},), got {call.shape(1)}")
    return [shape]


def _reverse_sequence(attributes: Mapping[str, Any], x: Array, lengths: Array) -> list[Array]:
    y = np.moveaxis(x, attributes["time_axis"], 0)
    extent = y.shape[0]
    if lengths.size and not 0 <= lengths.min() <= lengths.max() <= extent:
        raise ModelError(
            f"reverse_sequence: lengths must be within [0, {extent}], got {lengths.min()} to {lengths.max()}"
        )
    place, length = np.arange(extent)[:, None], lengths.astype(np.int64)[None, :]
    source = np.where(place < length, length - 1 - place, place)
    turned = y[source, np.arange(y.shape[1])[None, :]]
    return [np.moveaxis(turned, 0, attributes["time_axis"])]


define(OpDef("reverse_sequence", typed(_reverse_shapes), _reverse_sequence, {"batch_axis": 1, "time_axis": 0}, (2, 2)))
