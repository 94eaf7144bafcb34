"""Shape and dtype rules that several families share, each in one place: `typed` makes an `infer` of them.

Invariant: where an input's shape is unknown so is every output's shape, but its dtype is known all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import FLOATS, HALVES, to_numpy
from thew.errors import UnsupportedError
from thew.ir.graph import Array, TensorType
from thew.ops.opdef import Call

Shape = tuple[int, ...]
ShapeRule = Callable[[Call], Sequence[Shape | None]]
DtypeRule = str | Callable[[Call], str]

MAX_RANK = 64  # NumPy's
INTEGERS = ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8")
NUMBERS = FLOATS + INTEGERS


def first_dtype(call: Call) -> str:
    """The dtype of input 0."""
    return call.type(0).dtype


def dtype_of(*indices: int, among: Sequence[str] = (), or_fp32: Sequence[int] = ()) -> Callable[[Call], str]:
    """The dtype that these inputs have in common, absent ones aside; `among` lists what is allowed, and those of
    `or_fp32` may be fp32 beside 16 bits.
    """

    def rule(call: Call) -> str:
        found = [(index, call.type(index).dtype) for index in indices if call.has(index)]
        first, dtype = found[0]
        if among and dtype not in among:
            raise call.refuse(f"input {first} must be one of {', '.join(among)}, got {dtype}")
        for index, other in found[1:]:
            wide = index in or_fp32 and other == "fp32" and dtype in HALVES
            if other != dtype and not wide:
                raise call.refuse(f"inputs {first} and {index} must have one dtype, got {dtype} and {other}; cast one")
        return dtype

    return rule


def all_one_dtype(call: Call) -> str:
    """The dtype that all inputs have in common; none may be absent."""
    return dtype_of(*(index for index in range(len(call.types)) if call.type(index)))(call)


def dtype_attribute(name: str, default: DtypeRule | None = None) -> Callable[[Call], str]:
    """The dtype that an attribute names; where the attribute is None or empty, the default."""

    def rule(call: Call) -> str:
        named = call.attribute(name)
        if not named and default is not None:
            return default if isinstance(default, str) else default(call)
        if not isinstance(named, str):
            raise call.refuse(f"attribute {name} must name a dtype, got {named!r}")
        try:
            to_numpy(named)
        except UnsupportedError as error:
            raise call.refuse(f"attribute {name}: {error}") from None
        return named

    return rule


def typed(shapes: ShapeRule, *dtypes: DtypeRule) -> Callable[[Call], Sequence[TensorType | None]]:
    """An `infer` from a rule for the outputs' shapes and one for each output's dtype (the last serves all that follow).

    A present input without a type is no tensor, or one of which nothing is known: then nothing is known of the outputs.
    """
    rules = dtypes or (first_dtype,)

    def infer(call: Call) -> Sequence[TensorType | None]:
        count = len(call.node.outputs)
        if any(name and not call.has(index) for index, name in enumerate(call.node.inputs)):
            return [None] * count
        names = [rule if isinstance(rule, str) else rule(call) for rule in rules]
        names += [names[-1]] * (count - len(names))
        known = all(found is None or found.is_static for found in call.types)
        found = list(shapes(call)) if known else [None] * count
        if len(found) < count:
            raise call.refuse(f"must have {len(found)} outputs, got {count}")
        return [TensorType(name, checked(call, shape)) for name, shape in zip(names, found[:count], strict=False)]

    return infer


def checked(call: Call, shape: Shape | None) -> Shape | None:
    """The shape, of which it is certain that an array can have it."""
    if shape is None:
        return None
    if len(shape) > MAX_RANK:
        raise call.refuse(f"output must have at most {MAX_RANK} dimensions, got {len(shape)}")
    if any(extent < 0 for extent in shape) or prod(max(extent, 1) for extent in shape) >= 1 << 59:
        raise call.refuse(f"output extents must be at least 0 and fewer than 2^59 elements in all, got {shape}")
    return shape


def same_shape(call: Call) -> list[Shape | None]:
    """Every output has the shape of input 0."""
    return [call.shape(0)] * max(1, len(call.node.outputs))


def broadcast(call: Call, *shapes: Shape) -> Shape:
    """The shape to which all of these broadcast."""
    rank = max((len(shape) for shape in shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result = []
    for extents in zip(*padded, strict=True):
        wide = {extent for extent in extents if extent != 1}
        if len(wide) > 1:
            raise call.refuse(f"shapes must broadcast, got {' and '.join(map(str, shapes))}")
        result.append(wide.pop() if wide else 1)
    return tuple(result)


def broadcast_inputs(call: Call) -> list[Shape | None]:
    """The output has the shape to which all inputs broadcast."""
    return [broadcast(call, *(call.shape(index) for index in range(len(call.types)) if call.has(index)))]


def demand_broadcast_to(call: Call, what: str, shape: Shape, target: Shape) -> None:
    """Refuses a shape that does not broadcast to the target (or that would widen it)."""
    padded = (1,) * (len(target) - len(shape)) + shape
    if len(shape) > len(target) or any(a not in (1, b) for a, b in zip(padded, target, strict=True)):
        raise call.refuse(f"{what} must broadcast to {target}, got {shape}")


def axis_of(call: Call, axis: Any, rank: int, what: str = "axis", end: bool = False) -> int:
    """An axis counted from the front; `end` also allows the place after the last."""
    if not isinstance(axis, int) or isinstance(axis, bool) or not -rank <= axis < rank + end:
        raise call.refuse(f"{what} must be within [{-rank}, {rank - (not end)}] for {rank} dimensions, got {axis}")
    return axis + rank if axis < 0 else axis


def axes_of(call: Call, axes: Sequence[int], rank: int, what: str = "axes") -> tuple[int, ...]:
    """Axes counted from the front, in the order given, none twice."""
    found = tuple(axis_of(call, axis, rank, what) for axis in axes)
    if len(set(found)) != len(found):
        raise call.refuse(f"{what} must differ from each other, got {tuple(axes)}")
    return found


def rank_at_least(call: Call, least: int, index: int = 0) -> Shape:
    """The shape of an input that must have that many dimensions or more."""
    shape = call.shape(index)
    if len(shape) < least:
        raise call.refuse(f"input {index} must have at least {least} dimensions, got {shape}")
    return shape


def shape_attribute(call: Call, name: str) -> Shape:
    """An attribute that is a shape: extents of at least 0."""
    shape = tuple(call.attribute(name))
    if any(not isinstance(extent, int) or extent < 0 for extent in shape):
        raise call.refuse(f"{name} must be extents of at least 0, got {shape}")
    return shape


def scalar_of(call: Call, index: int, what: str, among: Sequence[str] = INTEGERS) -> Any:
    """The constant value of a one-element input as a Python number; None where it is absent or not constant."""
    if not call.has(index):
        return None
    dtype_of(index, among=among)(call)
    if prod(call.shape(index)) != 1:
        raise call.refuse(f"{what} must be one number, got shape {call.shape(index)}")
    array = call.value(index)
    return None if array is None else widened(array).reshape(-1)[0].item()


def mean_along(x: Array, axes: tuple[int, ...] | None) -> Array:
    """The mean along axes, which stay with extent 1; NaN where there is nothing, without NumPy's warning."""
    count = x.size if axes is None else prod(x.shape[axis] for axis in axes)
    return np.asarray(np.sum(x, axis=axes, keepdims=True) / np.float64(count))


def widened(array: Array) -> Array:
    """The array in a precision to compute in: fp64 for the floats of NumPy and of ml_dtypes, as it is for the rest."""
    return array if array.dtype.kind in "biucO" and array.dtype.names is None else array.astype(np.float64)


def constant_inputs(*indices: int) -> Callable[[Call], bool]:
    """A condition: these inputs are constant or absent."""
    return lambda call: all(call.value(index) is not None for index in indices if call.has(index))
