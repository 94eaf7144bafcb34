"""softmax, log_softmax and hardmax along one axis, computed in fp64 with the maximum taken off first."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import FLOATS
from thew.ir.graph import Array
from thew.ops.opdef import Call, Candidate, OpDef, define
from thew.ops.rules import Shape, axis_of, dtype_of, rank_at_least, typed, widened


def _shapes(call: Call) -> list[Shape | None]:
    shape = rank_at_least(call, 1)
    axis_of(call, call.attribute("axis"), len(shape))
    return [shape]


def _centred(x: Array, axis: int) -> Array:
    wide = widened(x)
    return np.asarray(wide - wide.max(axis=axis, keepdims=True, initial=-np.inf))


def softmax(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    """e^x over its sum."""
    powers = np.exp(_centred(x, attributes["axis"]))
    return [(powers / powers.sum(axis=attributes["axis"], keepdims=True)).astype(x.dtype)]


def log_softmax(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    """x less the logarithm of the sum of e^x."""
    centred = _centred(x, attributes["axis"])
    return [(centred - np.log(np.exp(centred).sum(axis=attributes["axis"], keepdims=True))).astype(x.dtype)]


def _hardmax(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    y = np.zeros_like(x)
    if x.size:
        places = np.expand_dims(np.argmax(x, axis=attributes["axis"]), attributes["axis"])
        np.put_along_axis(y, places, np.ones((), x.dtype), axis=attributes["axis"])
    return [y]


def _flops(call: Call) -> int:
    return 4 * prod(call.shape(0))


_infer = typed(_shapes, dtype_of(0, among=FLOATS))
_NATIVE = (Candidate("softmax", "strided", dtypes=FLOATS),)
for _name, _reference in (("softmax", softmax), ("log_softmax", log_softmax)):
    define(OpDef(_name, _infer, _reference, {"axis": -1}, flops=_flops, candidates=_NATIVE))
define(OpDef("hardmax", _infer, _hardmax, {"axis": -1}))
