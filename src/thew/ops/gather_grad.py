"""gather_grad(dy, indices): what a gather along an axis read takes its share of dy; rows read twice take the sum.

The gradient of an embedding is this with axis 0. `input_shape` is the shape of what was gathered from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thew.dtypes import FLOATS
from thew.ir.graph import Array
from thew.ops.index import within
from thew.ops.opdef import Call, Candidate, OpDef, call_of, define
from thew.ops.rules import Shape, axis_of, dtype_of, shape_attribute, typed, widened


def _axis(call: Call) -> int:
    return axis_of(call, call.attribute("axis"), len(call.attribute("input_shape")))


def _shapes(call: Call) -> list[Shape | None]:
    shape = shape_attribute(call, "input_shape")
    axis = _axis(call)
    if call.type(1).dtype not in ("int64", "int32"):
        raise call.refuse(f"indices must be int64 or int32, got {call.type(1)}")
    wanted = shape[:axis] + call.shape(1) + shape[axis + 1 :]
    if call.shape(0) != wanted:
        raise call.refuse(f"dy must have the gather's output shape {wanted}, got {call.shape(0)}")
    return [shape]


def _reference(attributes: Mapping[str, Any], dy: Array, indices: Array) -> list[Array]:
    shape = tuple(attributes["input_shape"])
    axis = _axis(call_of("gather_grad", attributes, (dy, indices)))
    places = within("gather_grad", indices.reshape(-1), shape[axis])
    total = np.zeros((shape[axis], *shape[:axis], *shape[axis + 1 :]))
    rows = dy.reshape(*shape[:axis], places.size, *shape[axis + 1 :])
    np.add.at(total, places, np.moveaxis(widened(rows), axis, 0))
    return [np.moveaxis(total, 0, axis).astype(dy.dtype)]


define(
    OpDef(
        "gather_grad",
        typed(_shapes, dtype_of(0, among=FLOATS)),
        _reference,
        {"axis": 0, "input_shape": ()},
        inputs=(2, 2),
        candidates=(Candidate("gather_grad", "rows", "plain"),),
    )
)
