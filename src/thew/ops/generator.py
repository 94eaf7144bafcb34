"""Ops that make tensors of nothing but sizes: constant_of_shape, range, eye_like."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, isfinite
from typing import Any

import numpy as np

from thew.dtypes import from_numpy, to_numpy
from thew.ir.graph import Array
from thew.ops.cast import convert
from thew.ops.opdef import Call, OpDef, call_of, define
from thew.ops.rules import NUMBERS, Shape, dtype_attribute, dtype_of, first_dtype, scalar_of, typed, widened


def _no_flops(call: Call) -> int:
    return 0


def _value(call: Call) -> Array:
    value = call.attribute("value")
    array = np.zeros((), np.float32) if value is None else np.asarray(value)
    if array.size != 1:
        raise call.refuse(f"value must be one number, got shape {array.shape}")
    return array.reshape(())


def _constant_dtype(call: Call) -> str:
    return from_numpy(_value(call).dtype)


def _constant_shapes(call: Call) -> list[Shape | None]:
    asked = call.ints(0)
    if asked is not None and any(extent < 0 for extent in asked):
        raise call.refuse(f"shape must have extents of at least 0, got {asked}")
    return [asked]


def _constant(attributes: Mapping[str, Any], shape: Array) -> list[Array]:
    value = _value(call_of("constant_of_shape", attributes, (shape,)))
    return [np.full(tuple(int(extent) for extent in shape.reshape(-1)), value, value.dtype)]


define(
    OpDef("constant_of_shape", typed(_constant_shapes, _constant_dtype), _constant, {"value": None}, flops=_no_flops)
)


def _range_count(call: Call) -> int | None:
    names = ("start", "limit", "delta")
    start, limit, delta = (scalar_of(call, index, name, NUMBERS) for index, name in enumerate(names))
    if start is None or limit is None or delta is None:
        return None
    if delta == 0 or not all(isfinite(number) for number in (start, limit, delta)):
        raise call.refuse(f"start, limit and delta must be finite, delta not 0, got {start}, {limit}, {delta}")
    if isinstance(start, int):
        return max(-int((start - limit) // delta), 0)
    return int(max(ceil((limit - start) / delta), 0))


def _range_shapes(call: Call) -> list[Shape | None]:
    count = _range_count(call)
    return [None if count is None else (count,)]


def _range(attributes: Mapping[str, Any], start: Array, limit: Array, delta: Array) -> list[Array]:
    count = _range_count(call_of("range", attributes, (start, limit, delta)))
    assert count is not None
    first, step = widened(start).reshape(()), widened(delta).reshape(())
    return [(first + np.arange(count, dtype=first.dtype) * step).astype(start.dtype)]


define(OpDef("range", typed(_range_shapes, dtype_of(0, 1, 2)), _range, {"stash_type": 1}, (3, 3), flops=_no_flops))


def _eye_shapes(call: Call) -> list[Shape | None]:
    shape = call.shape(0)
    if len(shape) != 2:
        raise call.refuse(f"input 0 must be a matrix, got {shape}")
    return [shape]


def _eye(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    rows, columns = x.shape
    diagonal = max(-rows, min(attributes["k"], columns))
    dtype = attributes["dtype"] or from_numpy(x.dtype)
    return [convert(np.eye(rows, columns, diagonal), dtype).astype(to_numpy(dtype))]


define(
    OpDef(
        "eye_like",
        typed(_eye_shapes, dtype_attribute("dtype", first_dtype)),
        _eye,
        {"dtype": None, "k": 0},
        flops=_no_flops,
    )
)
