"""Ops that give the same elements another shape or order: reshape, flatten, squeeze, unsqueeze, transpose, expand and
identity, which are views to the planner; shape and size, which ask for it; and trilu, which blanks a triangle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import NATIVE
from thew.ir.graph import Array, Attribute, TensorType
from thew.ops.opdef import Call, Candidate, OpDef, call_of, define
from thew.ops.rules import Shape, axes_of, axis_of, broadcast, constant_inputs, rank_at_least, scalar_of, typed

# What the planner lowers to views and copies; the shapes it needs must be constant.
VIEW = (Candidate("view", "strided", dtypes=NATIVE, when=constant_inputs(1)),)


def _no_flops(call: Call) -> int:
    return 0


def resolved_shape(call: Call) -> Shape | None:
    """The shape that a reshape asks for, 0 and -1 resolved; None where it is not constant."""
    old, asked = call.shape(0), call.ints(1)
    if asked is None:
        return None
    if asked.count(-1) > 1 or any(extent < -1 for extent in asked):
        raise call.refuse(f"shape must have extents of at least 0 and at most one -1, got {asked}")
    keeps_zero = call.attribute("allowzero")
    if keeps_zero and -1 in asked and 0 in asked:
        raise call.refuse(f"shape must not have both 0 and -1 with allowzero, got {asked}")
    if not keeps_zero and any(extent == 0 and index >= len(old) for index, extent in enumerate(asked)):
        raise call.refuse(f"shape must have 0 only where the input has a dimension, got {asked} for {old}")
    shape = [old[index] if extent == 0 and not keeps_zero else extent for index, extent in enumerate(asked)]
    if -1 in shape:
        rest = prod(extent for extent in shape if extent != -1)
        shape[shape.index(-1)] = prod(old) // rest if rest else 0
    if prod(shape) != prod(old):
        raise call.refuse(f"shape must keep the {prod(old)} elements of {old}, got {asked}")
    return tuple(shape)


def _flat_shape(call: Call) -> Shape:
    shape = call.shape(0)
    axis = axis_of(call, call.attribute("axis"), len(shape), end=True)
    return prod(shape[:axis]), prod(shape[axis:])


def _squeezed_shape(call: Call) -> Shape | None:
    shape = call.shape(0)
    if not call.has(1):
        return tuple(extent for extent in shape if extent != 1)
    given = call.ints(1)
    if given is None:
        return None
    axes = axes_of(call, given, len(shape))
    if any(shape[axis] != 1 for axis in axes):
        raise call.refuse(f"axes to squeeze must have extent 1, got {given} of {shape}")
    return tuple(extent for axis, extent in enumerate(shape) if axis not in axes)


def _unsqueezed_shape(call: Call) -> Shape | None:
    shape, given = call.shape(0), call.ints(1)
    if given is None:
        return None
    rank = len(shape) + len(given)
    axes, rest = set(axes_of(call, given, rank)), iter(shape)
    return tuple(1 if axis in axes else next(rest) for axis in range(rank))


def _expanded_shape(call: Call) -> Shape | None:
    asked = call.ints(1)
    if asked is None:
        return None
    if any(extent < 0 for extent in asked):
        raise call.refuse(f"shape must have extents of at least 0, got {asked}")
    return broadcast(call, call.shape(0), asked)


def permutation(call: Call) -> tuple[int, ...]:
    """The axes of a transpose's input, in the order of its output."""
    rank = len(call.shape(0))
    order = tuple(call.attribute("perm")) or tuple(range(rank - 1, -1, -1))
    if sorted(axes_of(call, order, rank, "perm")) != list(range(rank)):
        raise call.refuse(f"perm must order all {rank} axes, got {order}")
    return axes_of(call, order, rank, "perm")


def _transposed_shape(call: Call) -> Shape:
    shape = call.shape(0)
    return tuple(shape[axis] for axis in permutation(call))


RESULTS: Mapping[str, tuple[Callable[[Call], Shape | None], Mapping[str, Attribute], tuple[int, int]]] = {
    "reshape": (resolved_shape, {"allowzero": 0}, (2, 2)),
    "flatten": (_flat_shape, {"axis": 1}, (1, 1)),
    "squeeze": (_squeezed_shape, {}, (1, 2)),
    "unsqueeze": (_unsqueezed_shape, {}, (2, 2)),
    "expand": (_expanded_shape, {}, (2, 2)),
    "transpose": (_transposed_shape, {"perm": ()}, (1, 1)),
}


def _define(name: str) -> None:
    result, attributes, inputs = RESULTS[name]

    def reference(given: Mapping[str, Any], x: Array, *more: Array | None) -> list[Array]:
        call = call_of(name, given, (x, *more))
        if name == "transpose":
            return [np.transpose(x, permutation(call))]
        shape = result(call)
        assert shape is not None
        return [np.broadcast_to(x, shape) if name == "expand" else np.reshape(x, shape)]

    infer = typed(lambda call: [result(call)])
    define(OpDef(name, infer, reference, attributes, inputs, flops=_no_flops, candidates=VIEW))


for _name in RESULTS:
    _define(_name)


def _identity_infer(call: Call) -> list[TensorType | None]:
    return [call.types[0]]


def _identity(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    return [x]


define(OpDef("identity", _identity_infer, _identity, flops=_no_flops, candidates=VIEW))
# An identity that no pass takes away: what reads it is not the same as what reads its input (`thew.plan.recompute`).
define(OpDef("hold", _identity_infer, _identity, flops=_no_flops, is_pure=False, candidates=VIEW))


def _bounds(call: Call) -> slice:
    start, end = call.attribute("start"), call.attribute("end")
    if not isinstance(start, int) or not isinstance(end, int | None):
        raise call.refuse(f"start and end must be numbers, got {start!r} and {end!r}")
    rank = len(call.shape(0))
    # ONNX clamps after adding the rank once; Python's slices do the same.
    return slice(*slice(start, end).indices(rank))


def _shape_shapes(call: Call) -> list[Shape | None]:
    return [(len(call.shape(0)[_bounds(call)]),)]


def _shape(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    return [np.array(x.shape[_bounds(call_of("shape", attributes, (x,)))], np.int64)]


def _size(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    return [np.array(x.size, np.int64)]


define(OpDef("shape", typed(_shape_shapes, "int64"), _shape, {"start": 0, "end": None}, flops=_no_flops))
define(OpDef("size", typed(lambda call: [()], "int64"), _size, flops=_no_flops))


_TRILU: Mapping[str, Attribute] = {"upper": 1}


def _trilu(attributes: Mapping[str, Any], x: Array, k: Array | None = None) -> list[Array]:
    diagonal = 0 if k is None else int(k.reshape(-1)[0])
    # Beyond the matrix every diagonal is alike; NumPy wants it within 64 bits and adds to it.
    diagonal = max(-x.shape[-2] - 1, min(diagonal, x.shape[-1] + 1))
    return [np.triu(x, diagonal) if attributes["upper"] else np.tril(x, diagonal)]


def _trilu_shapes(call: Call) -> list[Shape | None]:
    scalar_of(call, 1, "k")
    return [rank_at_least(call, 2)]


define(OpDef("trilu", typed(_trilu_shapes), _trilu, _TRILU, (1, 2), flops=_no_flops))
