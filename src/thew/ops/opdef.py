"""What an op is: one `OpDef`, and the registry that knows them all.

Ops have ONNX's semantics (latest opset) under snake_case names. Nothing here knows of native code: `candidates` are
data that the planner matches with the rows of a device's kernel table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import from_numpy
from thew.errors import ShapeError, UnsupportedError
from thew.ir.graph import Array, Attribute, Node, TensorType


@dataclass(frozen=True)
class Call:
    """One application of an op as its functions see it: the node, what its inputs are, and their values where constant.

    `types[i]` is None for an absent input; `values[i]` is None for one that is not constant.
    """

    node: Node
    types: tuple[TensorType | None, ...]
    values: tuple[Array | None, ...]

    def type(self, index: int) -> TensorType:
        """The type of an input that must be there."""
        found = self.types[index] if index < len(self.types) else None
        if found is None:
            raise ShapeError(f"{self.node}: input {index} must be given, got none")
        return found

    def shape(self, index: int) -> tuple[int, ...]:
        """The static shape of an input that must be there."""
        found = self.type(index)
        if not found.is_static:
            raise ShapeError(f"{self.node}: input {index} must have a known shape here, got {found}")
        return found.static_shape

    def has(self, index: int) -> bool:
        """Whether optional input `index` is given."""
        return index < len(self.types) and self.types[index] is not None

    def value(self, index: int) -> Array | None:
        """The constant value of an input, or None."""
        return self.values[index] if index < len(self.values) else None

    def attribute(self, name: str) -> Any:
        """An attribute, or its default from the op's definition."""
        return attribute(self.node, name)

    def ints(self, index: int) -> tuple[int, ...] | None:
        """The constant value of an integer input, as numbers; None where it is absent or not constant."""
        array = self.value(index)
        if array is None:
            return None
        if array.dtype.kind not in "iu" or array.ndim > 1:
            raise self.refuse(f"input {index} must be a list of integers, got {array.dtype} of shape {array.shape}")
        return tuple(int(number) for number in array.reshape(-1))

    def refuse(self, rule: str) -> ShapeError:
        """The error for this node: ``raise call.refuse("weight must be …, got …")``."""
        return ShapeError(f"{self.node}: {rule}")


@dataclass(frozen=True, slots=True)
class Work:
    """What running an op by one of its candidates takes, beyond reading inputs and writing outputs once.

    Attributes:
        multiply_adds: executed, not those of the definition: fewer under Winograd.
        columns: extent of the axis that lies across vectors, which a row pads to whole ones; 0 where that is no matter.
        moved_bytes: read and written on the way: packing, transforms.
        workspace_bytes: where those bytes go round: how much must stay near.
        kept_bytes: held for good beyond the op's own weights.
        parts: products that are packed and written apart, one for each group of channels.
        depth: extent summed over, which a row of tiles pads to whole ones; 0 where that is no matter.
        passed_bytes: of inputs and outputs, where a candidate holds constants in another form; None where it does not.
    """

    multiply_adds: int
    columns: int = 0
    moved_bytes: int = 0
    workspace_bytes: int = 0
    kept_bytes: int = 0
    parts: int = 1
    depth: int = 0
    passed_bytes: int | None = None


@dataclass(frozen=True)
class Candidate:
    """A way to run an op: rows of the kernel table with this family and algorithm, where `when` holds.

    The family "view" stands for the planner's rules for ops that only move data: a view where possible, else a copy.

    `layout`: "channels_last" and "batch_innermost" demand it of images, in and out, "any" takes every stride, "plain"
    needs C order.

    Where `by_default` does not hold, the planner leaves it to those who choose it: less accurate, or known not to pay.

    `sums`: types that rows may sum in; empty for any.

    `work` says what it takes, for the planner's estimate; None for half the op's `flops` as multiply-adds and nothing
    else.
    """

    family: str
    algorithm: str
    layout: str = "any"
    when: Callable[[Call], bool] = lambda call: True
    dtypes: tuple[str, ...] = ("fp32", "fp64")
    work: Callable[[Call], Work] | None = None
    by_default: Callable[[Call], bool] = lambda call: True
    sums: tuple[str, ...] = ()


@dataclass(frozen=True)
class OpDef:
    """An op: its attributes with defaults, and what can be asked about it.

    Attributes:
        infer: types of the outputs from a `Call` with static input shapes; raises ShapeError, or returns a type with
            shape None where the shape depends on values that are not constant; None for an output that is no tensor.
        reference: outputs from arrays, in NumPy: the oracle. Called as ``reference(attributes, *inputs)``, absent
            inputs are None.
        flops: floating-point operations of one call.
        weights: positions of inputs, and of outputs, that are weights: no layout is asked of them, as of images.
        updates: pairs (output, input): the output is the next value of the input, and a kernel may write it there.
    """

    name: str
    infer: Callable[[Call], Sequence[TensorType | None]]
    reference: Callable[..., Sequence[Array]]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    inputs: tuple[int, int] = (1, 1)  # least and most; -1 for no limit
    outputs: tuple[int, int] = (1, 1)
    flops: Callable[[Call], int] = lambda call: (
        prod(call.type(0).static_shape) if call.types and call.type(0).is_static else 0
    )
    candidates: tuple[Candidate, ...] = ()
    weights: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    updates: tuple[tuple[int, int], ...] = ()
    is_pure: bool = True  # same inputs, same outputs, so that it may be folded; False for random numbers

    @property
    def grad(self) -> Callable[..., Any] | None:
        """The rule that builds the gradient in IR (`thew.ops.gradients`); None where the op has none."""
        return _RULES.get(self.name)


_OPS: dict[str, OpDef] = {}
_RULES: dict[str, Callable[..., Any]] = {}  # of gradients, by op
resolvers: list[Callable[[str], OpDef | None]] = []  # asked in turn for an op that the registry does not hold


def define(op: OpDef) -> OpDef:
    """Enters an op into the registry.

    Its `infer` then first checks the numbers of inputs and outputs and the kinds of the attributes; its `reference`
    sees every attribute, defaults included, and NumPy's floating-point warnings are off while it runs.
    """
    assert op.name not in _OPS, op.name
    raw = op

    def infer(call: Call) -> Sequence[TensorType | None]:
        _check_counts(raw, call)
        _check_attributes(raw, call)
        return raw.infer(call)

    def reference(attributes: Mapping[str, Attribute], *inputs: Array | None) -> Sequence[Array]:
        with np.errstate(all="ignore"):
            results = raw.reference({**raw.attributes, **attributes}, *inputs)
            # NumPy makes scalars of some arrays without dimensions; sequences and optionals pass.
            return [y if y is None or isinstance(y, list) else np.asarray(y) for y in results]

    _OPS[op.name] = entered = replace(op, infer=infer, reference=reference)
    return entered


def differentiate_by(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates the rule that builds the gradient of these ops."""

    def enter(rule: Callable[..., Any]) -> Callable[..., Any]:
        assert not _RULES.keys() & set(names), names
        _RULES.update(dict.fromkeys(names, rule))
        return rule

    return enter


def check_node(node: Node) -> None:
    """Refuses a node whose counts of inputs and outputs or kinds of attributes do not fit its op, if defined."""
    op = _OPS.get(node.op)
    if op is not None:
        call = Call(node, (), ())
        _check_counts(op, call)
        _check_attributes(op, call)


def _check_counts(op: OpDef, call: Call) -> None:
    for what, names, (least, most) in (
        ("inputs", call.node.inputs, op.inputs),
        ("outputs", call.node.outputs, op.outputs),
    ):
        if len(names) < least or 0 <= most < len(names):
            bound = f"{least} or more" if most < 0 else f"{least} to {most}" if least < most else str(least)
            raise call.refuse(f"must have {bound} {what}, got {len(names)}")
    for index in range(op.inputs[0]):
        if not call.node.input(index):
            raise call.refuse(f"input {index} must be given, got none")


def _check_attributes(op: OpDef, call: Call) -> None:
    """An attribute must be of its default's kind; one whose default is None is checked by the op itself."""
    for name, default in op.attributes.items():
        value = call.node.attributes.get(name, default)
        if default is None or value is default:
            continue
        kind = (int, float) if isinstance(default, float) else type(default)
        if not isinstance(value, kind) or (
            isinstance(value, tuple) and not all(isinstance(x, int | float) for x in value)
        ):
            raise call.refuse(f"attribute {name} must be like its default {default!r}, got {value!r}")


def call_of(name: str, attributes: Mapping[str, Attribute], inputs: Sequence[Any], node: Node | None = None) -> Call:
    """The `Call` of an op applied to arrays: what a reference uses to ask the functions that `infer` uses.

    What is no array, a sequence, has no type in it. `node` is the node, where there is one.
    """
    arrays = tuple(np.asarray(value) if isinstance(value, np.ndarray | np.generic) else None for value in inputs)
    types = tuple(None if array is None else TensorType(from_numpy(array.dtype), array.shape) for array in arrays)
    names = tuple("" if value is None else f"input{i}" for i, value in enumerate(inputs))
    return Call(node or Node(name, names, ("output",), attributes), types, arrays)


def find(name: str) -> OpDef | None:
    """The op of that name, or None."""
    if name in _OPS:
        return _OPS[name]
    return next((op for resolve in resolvers if (op := resolve(name))), None)


def is_defined(name: str) -> bool:
    """Whether an op is in the registry, rather than made by a resolver."""
    return name in _OPS


def get(name: str) -> OpDef:
    """The op of that name. Raises UnsupportedError where there is none."""
    op = find(name)
    if op is None:
        raise UnsupportedError(f"op '{name}': Thew has no such op; `thew.ops.names()` lists those it has")
    return op


def names() -> tuple[str, ...]:
    """All ops, sorted."""
    return tuple(sorted(_OPS))


def attribute(node: Node, name: str) -> Any:
    """An attribute of a node, or its default from the op's definition."""
    if name in node.attributes:
        return node.attributes[name]
    return get(node.op).attributes[name]
