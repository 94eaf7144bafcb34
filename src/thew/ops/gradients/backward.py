"""`Backward`: one node as the rule for its gradient sees it, and the few shapes of IR that several rules need.

A rule takes a `Backward` and gives, for every input of the node, the name of its gradient, or None where it has none.
All types are static.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from thew.dtypes import to_numpy
from thew.errors import UnsupportedError
from thew.ir.graph import Attribute, Node, TensorType
from thew.ops.opdef import Call


class Emitter(Protocol):
    """Where new nodes go; `thew.autodiff` has one."""

    def emit(self, op: str, inputs: Sequence[str], outputs: int = 1, **attributes: Attribute) -> tuple[str, ...]:
        """Adds a node."""

    def constant(self, array: Any) -> str:
        """Adds a constant."""

    def type_of(self, name: str) -> TensorType:
        """The type of any value."""


@dataclass(frozen=True)
class Backward:
    """A node, the gradients of its outputs (None where nothing depends on one), and which inputs want theirs."""

    call: Call
    gradients: tuple[str | None, ...]
    wanted: tuple[bool, ...]
    emitter: Emitter

    @property
    def node(self) -> Node:
        """The node."""
        return self.call.node

    @property
    def dy(self) -> str:
        """The gradient of the first output."""
        if self.gradients[0] is None:
            raise self.refuse("only its first output has a gradient")
        return self.gradients[0]

    @property
    def x(self) -> str:
        """The first input."""
        return self.node.inputs[0]

    @property
    def y(self) -> str:
        """The first output."""
        return self.node.outputs[0]

    def wants(self, index: int) -> bool:
        """Whether input `index` is there and its gradient is wanted."""
        return index < len(self.wanted) and self.wanted[index]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of any value."""
        return self.emitter.type_of(name).static_shape

    def op(self, name: str, *inputs: str, **attributes: Attribute) -> str:
        """Adds a node with one output."""
        return self.emitter.emit(name, inputs, 1, **attributes)[0]

    def ops(self, name: str, inputs: Sequence[str], outputs: int, **attributes: Attribute) -> tuple[str, ...]:
        """Adds a node with several outputs."""
        return self.emitter.emit(name, inputs, outputs, **attributes)

    def ints(self, *values: int) -> str:
        """A constant list of integers."""
        return self.emitter.constant(np.array(values, np.int64))

    def number(self, value: float, like: str) -> str:
        """A constant number of the dtype of another value."""
        return self.emitter.constant(np.asarray(value, to_numpy(self.emitter.type_of(like).dtype)))

    def scaled(self, name: str, factor: float) -> str:
        """The value times a number."""
        return name if factor == 1 else self.op("mul", name, self.number(factor, name))

    def reshaped(self, name: str, shape: Sequence[int]) -> str:
        """The value in another shape of as many elements."""
        return name if self.shape(name) == tuple(shape) else self.op("reshape", name, self.ints(*shape), allowzero=1)

    def expanded(self, name: str, shape: Sequence[int]) -> str:
        """The value broadcast to a shape."""
        return name if self.shape(name) == tuple(shape) else self.op("expand", name, self.ints(*shape))

    def transposed(self, name: str) -> str:
        """The value with its last two axes exchanged."""
        rank = len(self.shape(name))
        return self.op("transpose", name, perm=(*range(rank - 2), rank - 1, rank - 2))

    def summed(self, name: str, axes: Sequence[int], keep: bool = False) -> str:
        """The sum over some axes."""
        return self.op("reduce_sum", name, self.ints(*axes), keepdims=int(keep)) if axes else name

    def sum_to(self, name: str, shape: tuple[int, ...]) -> str:
        """The sum over the axes along which a value of `shape` was broadcast: the gradient of a broadcast."""
        wide = self.shape(name)
        lead = len(wide) - len(shape)
        stretched = [lead + axis for axis, extent in enumerate(shape) if extent == 1 != wide[lead + axis]]
        return self.reshaped(self.summed(name, [*range(lead), *stretched], keep=True), shape)

    def mask(self, condition: str, like: str) -> str:
        """1 where a condition holds, else 0, in the dtype of another value."""
        return self.op("cast", condition, to=self.emitter.type_of(like).dtype)

    def refuse(self, rule: str) -> UnsupportedError:
        """The error for a node whose gradient cannot be built."""
        return UnsupportedError(f"{self.node}: {rule}; it cannot be trained through")


Gradients = Sequence[str | None]
Rule = Callable[[Backward], Gradients]
