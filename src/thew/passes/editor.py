"""`Editor`: a graph while it is being rewritten.

It starts as a graph and gives one out at the end. In between nodes may be replaced in place, dropped, and values
forwarded to others; reads are counted all the while, so that a rewrite can ask whether it is the only reader. Graph
outputs are *pinned*: they keep their names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from thew.dtypes import FLOATS, from_numpy
from thew.ir import Graph, Node, TensorType
from thew.ir.graph import Array, as_constant
from thew.ops import Call, find
from thew.passes.infer import infer_node, value_type


def _is_number(array: Array) -> bool:
    return array.dtype.kind in "iu" or from_numpy(array.dtype) in FLOATS


class Editor:
    """Mutable nodes, constants and types of a graph; `graph()` gives the result."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._slots: list[tuple[Node, ...]] = [(node,) for node in graph.nodes]
        self._slot_of = {output: index for index, node in enumerate(graph.nodes) for output in node.outputs if output}
        self._aliases: dict[str, str] = {}
        self._input_types = {value.name: value.type for value in graph.inputs}
        self._types: dict[str, TensorType] = dict(graph.types)
        self.constants: dict[str, Array] = dict(graph.constants)
        self.pinned = frozenset(graph.outputs)
        self._reads = Counter(name for node in graph.nodes for name in node.inputs if name)
        self._taken: set[str] | None = None
        self._changed = False

    def walk(self) -> Iterator[Node]:
        """The original nodes that are still there, in order, as they read by now."""
        for index in range(len(self._slots)):
            if self._slots[index]:
                yield self._resolved(self._slots[index][-1])

    def resolve(self, name: str) -> str:
        """The value that stands for `name` by now."""
        while name in self._aliases:
            name = self._aliases[name]
        return name

    def producer(self, name: str) -> Node | None:
        """The node that defines a value by now."""
        index = self._slot_of.get(self.resolve(name))
        if index is None:
            return None
        name = self.resolve(name)
        return next(self._resolved(node) for node in self._slots[index] if name in node.outputs)

    def is_private(self, name: str) -> bool:
        """Whether the value is read exactly once and its name is free to go."""
        return self._reads[name] == 1 and name not in self.pinned

    def reads(self, name: str) -> int:
        """How often nodes read the value."""
        return self._reads[name]

    def constant(self, name: str) -> Array | None:
        """The value of a constant; None for anything else."""
        return self.constants.get(name)

    def number(self, name: str) -> float | None:
        """The value of a constant of one number; None for anything else."""
        array = self.constants.get(name)
        if array is None or array.size != 1 or not _is_number(array):
            return None
        return float(array.reshape(()))

    def integers(self, name: str) -> tuple[int, ...] | None:
        """The value of a constant list of integers; None for anything else."""
        array = self.constants.get(name)
        if array is None or array.dtype.kind not in "iu":
            return None
        return tuple(int(item) for item in array.reshape(-1))

    def type_of(self, name: str) -> TensorType | None:
        """What is known of a value's type."""
        if name in self.constants:
            return value_type(self.constants[name])
        return self._input_types.get(name) or self._types.get(name)

    def static_shape(self, name: str) -> tuple[int, ...] | None:
        """A value's shape where all of it is known."""
        known = self.type_of(name)
        return known.static_shape if known is not None and known.is_static else None

    def call(self, node: Node) -> Call:
        """A node with what is known of its inputs: types and constants."""
        types = tuple(self.type_of(name) if name else None for name in node.inputs)
        return Call(node, types, tuple(self.constant(name) for name in node.inputs))

    def static_call(self, node: Node) -> Call | None:
        """The same where the types of all inputs are known in full; else None."""
        call = self.call(node)
        known = (
            type_ is not None and type_.is_static for name, type_ in zip(node.inputs, call.types, strict=True) if name
        )
        return call if all(known) else None

    def forget_type(self, name: str) -> None:
        """Lets a value have another type: that of the node which is put next to define it."""
        self._types.pop(name, None)

    def put(self, old: Node, *nodes: Node) -> None:
        """Puts nodes into the place of `old`; they must define the outputs of `old`."""
        index = self._slot_of[self._key(old)]
        self._forget(index)
        self._slots[index] = nodes
        for node in nodes:
            self._reads.update(name for name in node.inputs if name)
            self._slot_of.update((output, index) for output in node.outputs if output)
            self._infer(node)
        self._changed = True

    def drop(self, node: Node) -> None:
        """Takes a node out; nothing may read its outputs any more."""
        index = self._slot_of[self._key(node)]
        self._forget(index)
        self._slots[index] = ()
        self._changed = True

    def add_constant(self, array: Any, stem: str) -> str:
        """Adds a constant, and returns its name."""
        name = self.fresh(stem)
        self.constants[name] = as_constant(array)
        return name

    def fresh(self, stem: str) -> str:
        """A name that no value has: the stem, or the stem with a number."""
        if self._taken is None:
            self._taken = {*self._input_types, *self.constants, *self._slot_of, *self._graph.producers, *self.pinned}
        name, number = stem, 1
        while name in self._taken or name in self.constants:
            name, number = f"{stem}_{number}", number + 1
        self._taken.add(name)
        return name

    def substitute(self, node: Node, values: Sequence[str]) -> bool:
        """Takes out a node whose outputs equal other values. Returns False where an output is pinned."""
        if not self.pinned.isdisjoint(node.outputs):
            return False
        self.drop(node)
        for output, value in zip(node.outputs, values, strict=False):
            if output:
                self._alias(output, self.resolve(value))
        return True

    def forward(self, node: Node, value: str) -> bool:
        """Takes out a node whose first and only output read equals `value`. Returns False where names forbid it."""
        if self.substitute(node, (value,)):
            return True
        output, value = node.outputs[0], self.resolve(value)
        source = self.producer(value)
        if source is None or value in self.pinned:
            return False
        self.drop(node)  # a pinned name moves up to the node that computes the value
        index = self._slot_of.pop(value)
        names = tuple(output if name == value else name for name in source.outputs)
        self._slots[index] = tuple(
            item.replace(outputs=names) if value in item.outputs else item for item in self._slots[index]
        )
        self._slot_of[output] = index
        if value in self._types:
            self._types[output] = self._types[value]
        self._alias(value, output)
        return True

    def graph(self) -> Graph:
        """The rewritten graph; the very same object where nothing changed."""
        if not self._changed:
            return self._graph
        nodes = tuple(self._resolved(node) for slot in self._slots for node in slot)
        defined = {output for node in nodes for output in node.outputs}
        types = {name: known for name, known in self._types.items() if name in defined}
        return self._graph.replace(nodes=nodes, constants=self.constants, types=types)

    def _key(self, node: Node) -> str:
        return next(output for output in node.outputs if output)

    def _resolved(self, node: Node) -> Node:
        if not self._aliases or not any(name in self._aliases for name in node.inputs):
            return node
        return node.replace(inputs=tuple(self.resolve(name) for name in node.inputs))

    def _forget(self, index: int) -> None:
        for node in self._slots[index]:
            self._reads.subtract(self.resolve(name) for name in node.inputs if name)
            for output in node.outputs:
                self._slot_of.pop(output, None)

    def _alias(self, old: str, value: str) -> None:
        self._aliases[old] = value
        self._reads[value] += self._reads.pop(old, 0)
        self._changed = True

    def _infer(self, node: Node) -> None:
        if all(output in self._types for output in node.outputs if output) or find(node.op) is None:
            return
        types = [self.type_of(name) if name else None for name in node.inputs]
        if any(name and (known is None or not known.is_static) for name, known in zip(node.inputs, types, strict=True)):
            return
        results = infer_node(node, types, [self.constants.get(name) for name in node.inputs])
        self._types.update((name, known) for name, known in zip(node.outputs, results, strict=False) if name and known)
