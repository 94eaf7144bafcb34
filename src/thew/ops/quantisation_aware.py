"""Ops of quantisation-aware training (Jacob et al. 2018), beside those that round.

straight_through(q, x, low, high) is q, and passes its gradient to x (Bengio et al. 2013): all of it, or with a range
where x is within. moving_average(value, state) is state + momentum · (value − state): what an observer keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thew.dtypes import FLOATS
from thew.ir.graph import Array
from thew.ops.opdef import Call, OpDef, define
from thew.ops.rules import Shape, dtype_of, same_shape, typed, widened


def _through_shapes(call: Call) -> list[Shape | None]:
    for index in range(1, len(call.types)):
        single = index > 1 and call.shape(index) == ()
        if not single and (index > 1 or call.shape(index) != call.shape(0)):
            wanted = "one number" if index > 1 else f"q's shape {call.shape(0)}"
            raise call.refuse(f"input {index} must have {wanted}, got {call.shape(index)}")
    return same_shape(call)


def _through(attributes: Mapping[str, Any], q: Array, x: Array, *bounds: Array) -> list[Array]:
    return [q]


def _average_shapes(call: Call) -> list[Shape | None]:
    if call.shape(1) != call.shape(0):
        raise call.refuse(f"state must have the value's shape {call.shape(0)}, got {call.shape(1)}")
    if not 0 <= call.attribute("momentum") <= 1:
        raise call.refuse(f"momentum must be within [0, 1], got {call.attribute('momentum')}")
    return same_shape(call)


def _average(attributes: Mapping[str, Any], value: Array, state: Array) -> list[Array]:
    wide = widened(state)
    moved = wide + np.float64(attributes["momentum"]) * (widened(value) - wide)
    return [np.asarray(moved).astype(state.dtype)]


define(OpDef("straight_through", typed(_through_shapes, dtype_of(0, 1, among=FLOATS)), _through, inputs=(2, 4)))
define(
    OpDef(
        "moving_average",
        typed(_average_shapes, dtype_of(0, 1, among=FLOATS)),
        _average,
        {"momentum": 0.01},
        (2, 2),
        updates=((0, 1),),
    )
)
