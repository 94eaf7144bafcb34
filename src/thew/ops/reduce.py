"""Reductions over axes (an input, normally constant), and arg_max, arg_min, cumulative sums and products.

Floats accumulate in fp64. `resolved_axes` is the one place where axes and their defaults are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from thew.dtypes import FLOATS, HALVES
from thew.ir.graph import Array
from thew.ops.opdef import Call, Candidate, OpDef, call_of, define
from thew.ops.rules import (
    NUMBERS,
    Shape,
    axes_of,
    axis_of,
    constant_inputs,
    dtype_of,
    mean_along,
    rank_at_least,
    scalar_of,
    typed,
    widened,
)

_NATIVE = ("fp32", "fp64", "int32", "int64", "int8", "uint8")
_HALF_NATIVE = ("reduce_sum", "reduce_mean", "reduce_max", "reduce_min")  # the others are computed between casts
_ARITHMETIC = (*FLOATS, "int32", "int64", "uint32", "uint64")


def resolved_axes(call: Call) -> tuple[int, ...] | None:
    """The axes that a reduction folds, sorted; None where they are not constant."""
    rank = len(call.shape(0))
    if call.node.op in ("arg_max", "arg_min"):
        return (axis_of(call, call.attribute("axis"), rank),)
    axes = call.ints(1) if call.has(1) else ()
    if axes is None:
        return None
    if not axes:
        return () if call.attribute("noop_with_empty_axes") else tuple(range(rank))
    return tuple(sorted(axes_of(call, axes, rank)))


def _shapes(call: Call) -> list[Shape | None]:
    shape, axes = call.shape(0), resolved_axes(call)
    if axes is None:
        return [None]
    if call.attribute("keepdims"):
        return [tuple(1 if axis in axes else extent for axis, extent in enumerate(shape))]
    return [tuple(extent for axis, extent in enumerate(shape) if axis not in axes)]


def _log_sum_exp(x: Array, **how: Any) -> Array:
    largest = x.max(axis=how["axis"], keepdims=True, initial=-np.inf)
    largest = np.where(np.isfinite(largest), largest, 0)
    total = np.log(np.sum(np.exp(x - largest), **how))
    return np.asarray(total + largest.reshape(total.shape))


def _mean(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    found = mean_along(x, axis)
    return found if keepdims else np.squeeze(found, axis)


def _largest(x: Array, **how: Any) -> Array:
    return np.asarray(np.max(x, initial=_bound(x, "min"), **how))


def _smallest(x: Array, **how: Any) -> Array:
    return np.asarray(np.min(x, initial=_bound(x, "max"), **how))


def _bound(x: Array, side: str) -> Any:
    """What a maximum ("min") or minimum ("max") of nothing is."""
    if x.dtype.kind in "iu":
        return getattr(np.iinfo(x.dtype), side)
    if x.dtype.kind == "b":
        return side == "max"
    return -np.inf if side == "min" else np.inf


def _define(name: str, function: Callable[..., Any], among: tuple[str, ...]) -> None:
    def reference(attributes: Mapping[str, Any], x: Array, axes: Array | None = None) -> list[Array]:
        folded = resolved_axes(call_of(name, attributes, (x, axes)))
        wide = widened(x)
        if x.dtype.kind in "iu" and name in ("reduce_l2", "reduce_log_sum", "reduce_log_sum_exp", "reduce_mean"):
            wide = x.astype(np.float64)
        found = np.asarray(function(wide, axis=folded, keepdims=bool(attributes["keepdims"])))
        return [found.astype(x.dtype)]

    dtypes = (*_NATIVE, *HALVES) if name in _HALF_NATIVE else _NATIVE
    native = Candidate("reduce", "strided", dtypes=dtypes, when=constant_inputs(1))
    attributes = {"keepdims": 1, "noop_with_empty_axes": 0}
    define(OpDef(name, typed(_shapes, dtype_of(0, among=among)), reference, attributes, (1, 2), candidates=(native,)))


_define("reduce_sum", np.sum, _ARITHMETIC)
_define("reduce_mean", _mean, _ARITHMETIC)
_define("reduce_prod", np.prod, _ARITHMETIC)
_define("reduce_max", _largest, (*NUMBERS, "bool"))
_define("reduce_min", _smallest, (*NUMBERS, "bool"))
_define("reduce_l1", lambda x, **how: np.sum(np.abs(x), **how), _ARITHMETIC)
_define("reduce_l2", lambda x, **how: np.sqrt(np.sum(x * x, **how)), _ARITHMETIC)
_define("reduce_sum_square", lambda x, **how: np.sum(x * x, **how), _ARITHMETIC)
_define("reduce_log_sum", lambda x, **how: np.log(np.sum(x, **how)), _ARITHMETIC)
_define("reduce_log_sum_exp", _log_sum_exp, _ARITHMETIC)


def _arg_shapes(call: Call) -> list[Shape | None]:
    shape = rank_at_least(call, 1)
    axis = axis_of(call, call.attribute("axis"), len(shape))
    if not shape[axis]:
        raise call.refuse(f"axis {axis} must have at least one element, got shape {shape}")
    return [shape[:axis] + ((1,) if call.attribute("keepdims") else ()) + shape[axis + 1 :]]


def _arg_dtype(call: Call) -> str:
    dtype_of(0, among=NUMBERS)(call)
    return "int64"


def _define_arg(name: str, function: Callable[..., Any]) -> None:
    def reference(attributes: Mapping[str, Any], x: Array) -> list[Array]:
        axis, keep = attributes["axis"], bool(attributes["keepdims"])
        wide = widened(x)
        if not attributes["select_last_index"]:
            return [np.asarray(function(wide, axis=axis, keepdims=keep)).astype(np.int64)]
        last = x.shape[axis] - 1 - function(np.flip(wide, axis), axis=axis, keepdims=keep)
        return [np.asarray(last).astype(np.int64)]

    attributes = {"axis": 0, "keepdims": 1, "select_last_index": 0}
    native = (Candidate("reduce", "strided", dtypes=_NATIVE),)
    define(OpDef(name, typed(_arg_shapes, _arg_dtype), reference, attributes, candidates=native))


_define_arg("arg_max", np.argmax)
_define_arg("arg_min", np.argmin)


def _cumulative_shapes(call: Call) -> list[Shape | None]:
    shape, axis = rank_at_least(call, 1), scalar_of(call, 1, "axis")
    if axis is not None:
        axis_of(call, axis, len(shape))
    return [shape]


def _define_cumulative(name: str, function: Callable[..., Any], neutral: int) -> None:
    def reference(attributes: Mapping[str, Any], x: Array, axis: Array) -> list[Array]:
        along = int(axis.reshape(-1)[0])
        wide = np.flip(widened(x), along) if attributes["reverse"] else widened(x)
        if attributes["exclusive"]:
            first = np.full_like(np.take(wide, [0], along), neutral) if wide.shape[along] else wide
            wide = np.concatenate([first, np.delete(wide, -1, along)], along) if wide.shape[along] else wide
        found = function(wide, axis=along, dtype=wide.dtype)
        return [np.asarray(np.flip(found, along) if attributes["reverse"] else found).astype(x.dtype)]

    attributes = {"exclusive": 0, "reverse": 0}
    define(OpDef(name, typed(_cumulative_shapes, dtype_of(0, among=_ARITHMETIC)), reference, attributes, (2, 2)))


_define_cumulative("cum_sum", np.cumsum, 0)
_define_cumulative("cum_prod", np.cumprod, 1)
