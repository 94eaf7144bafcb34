"""A graph is immutable; `GraphBuilder` is how one comes to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thew.ir.graph import Array, Attribute, Dim, Graph, Node, TensorType, Value, as_constant


class GraphBuilder:
    """Collects inputs, constants and nodes, names what has no name, and gives out the graph.

    Example:
        >>> builder = GraphBuilder("double")
        >>> x = builder.input("x", "fp32", ("n", 4))
        >>> y = builder.node("add", [x, x])
        >>> graph = builder.graph([y])
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._inputs: list[Value] = []
        self._constants: dict[str, Array] = {}
        self._nodes: list[Node] = []
        self._types: dict[str, TensorType] = {}
        self._taken: set[str] = set()

    def unique(self, stem: str) -> str:
        """A name that is not taken yet: the stem, or the stem with a number."""
        name, number = stem, 1
        while name in self._taken:
            name, number = f"{stem}_{number}", number + 1
        self._taken.add(name)
        return name

    def input(self, name: str, dtype: str, shape: Sequence[Dim] | None) -> str:
        """Adds a graph input."""
        name = self.unique(name)
        self._inputs.append(Value(name, TensorType(dtype, None if shape is None else tuple(shape))))
        return name

    def constant(self, array: Any, name: str = "constant") -> str:
        """Adds a constant."""
        name = self.unique(name)
        self._constants[name] = as_constant(array)
        return name

    def node(self, op: str, inputs: Sequence[str], name: str = "", **attributes: Attribute) -> str:
        """Adds a node with one output, and returns the output's name."""
        return self.nodes(op, inputs, 1, name, **attributes)[0]

    def nodes(
        self, op: str, inputs: Sequence[str], outputs: int, name: str = "", **attributes: Attribute
    ) -> tuple[str, ...]:
        """Adds a node with several outputs, and returns their names."""
        names = tuple(self.unique(name or op) for _ in range(outputs))
        self.append(Node(op, tuple(inputs), names, attributes, name or names[0]))
        return names

    def append(self, node: Node, types: Sequence[TensorType | None] = ()) -> None:
        """Adds a node as it is; its output names become taken."""
        self._nodes.append(node)
        self._taken.update(output for output in node.outputs if output)
        self._types.update({name: known for name, known in zip(node.outputs, types, strict=False) if known is not None})

    def graph(self, outputs: Sequence[str]) -> Graph:
        """The finished graph, verified."""
        from thew.ir.verify import verify

        graph = Graph(self._name, tuple(self._inputs), tuple(outputs), tuple(self._nodes), self._constants, self._types)
        verify(graph)
        return graph
