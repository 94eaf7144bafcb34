"""What an op is: one `OpDef`, and the registry that knows them all.

Ops have ONNX's semantics (latest opset) under snake_case names. Nothing here knows of native code: `candidates` are data that
the planner matches with the rows of a device's kernel table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

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

    def refuse(self, rule: str) -> ShapeError:
        """The error for this node: ``raise call.refuse("weight must be …, got …")``."""
        return ShapeError(f"{self.node}: {rule}")


@dataclass(frozen=True)
class Candidate:
    """A way to run an op: rows of the kernel table with this family and algorithm, where `when` holds.

    `layout`: "channels_last" demands it of inputs 0 and outputs (and a residual), "any" takes every stride, "plain" needs C order.
    """

    family: str
    algorithm: str
    layout: str = "any"
    when: Callable[[Call], bool] = lambda call: True
    dtypes: tuple[str, ...] = ("fp32", "fp64")


@dataclass(frozen=True)
class OpDef:
    """An op: its attributes with defaults, and what can be asked about it.

    Attributes:
        infer: types of the outputs from a `Call` with static input shapes; raises ShapeError, or returns a type with shape None where
            the shape depends on values that are not constant; None for an output that is no tensor.
        reference: outputs from arrays, in NumPy: the oracle. Called as ``reference(attributes, *inputs)``, absent inputs are None.
        grad: builds the gradient in IR; None where the op has none yet.
        flops: floating-point operations of one call.
    """

    name: str
    infer: Callable[[Call], Sequence[TensorType | None]]
    reference: Callable[..., Sequence[Array]]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    inputs: tuple[int, int] = (1, 1)  # least and most; -1 for no limit
    outputs: tuple[int, int] = (1, 1)
    grad: Callable[..., Any] | None = None
    flops: Callable[[Call], int] = lambda call: prod(call.type(0).static_shape) if call.types and call.type(0).is_static else 0
    candidates: tuple[Candidate, ...] = ()
    is_pure: bool = True  # same inputs, same outputs, so that it may be folded; False for random numbers


_OPS: dict[str, OpDef] = {}


def define(op: OpDef) -> OpDef:
    """Enters an op into the registry."""
    assert op.name not in _OPS, op.name
    _OPS[op.name] = op
    return op


def find(name: str) -> OpDef | None:
    """The op of that name, or None."""
    return _OPS.get(name)


def get(name: str) -> OpDef:
    """The op of that name. Raises UnsupportedError where there is none."""
    op = _OPS.get(name)
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
