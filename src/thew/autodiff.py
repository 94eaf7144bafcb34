"""Reverse-mode differentiation of a graph: one walk from the last node to the first, adding nodes.

What a node's gradient is stands with its op (`OpDef.grad`); here is only the walk. A value that several nodes read
takes the sum of their gradients. Nodes that lead to nothing of interest are left out: a frozen layer costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from thew import ops
from thew.dtypes import FLOATS, to_numpy
from thew.errors import ModelError, UnsupportedError
from thew.ir import Graph, Node, TensorType
from thew.ir.graph import Array, Attribute, as_constant
from thew.ops.gradients import Backward


class Extension:
    """A graph that grows at its end: nodes, constants and their types."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.nodes = list(graph.nodes)
        self.constants: dict[str, Array] = dict(graph.constants)
        self._types: dict[str, TensorType] = {}
        self._taken = {value.name for value in graph.inputs} | set(graph.constants) | set(graph.producers)
        self._numbers: dict[str, int] = {}
        self.prefix = ""  # of the names of new nodes: after whom they are made

    def type_of(self, name: str) -> TensorType:
        """The static type of any value. Raises ModelError where it is not known."""
        found = self._types.get(name) or self._graph.type_of(name)
        if found is None and name in self.constants:
            array = self.constants[name]
            found = ops.call_of("identity", {}, [array]).type(0)
        if found is None or not found.is_static:
            raise ModelError(f"value '{name}': must have a static type to be differentiated, got {found}")
        return found

    def emit(self, op: str, inputs: Sequence[str], outputs: int = 1, **attributes: Attribute) -> tuple[str, ...]:
        """Adds a node, and returns the names of its outputs."""
        names = tuple(self.fresh(self.prefix + op) for _ in range(outputs))
        return self.append(Node(op, tuple(inputs), names, attributes, names[0]))

    def append(self, node: Node) -> tuple[str, ...]:
        """Adds a node as it is, its types inferred."""
        self._taken.update(node.outputs)
        found = ops.get(node.op).infer(self.call(node))
        self._types.update({name: known for name, known in zip(node.outputs, found, strict=True) if name and known})
        self.nodes.append(node)
        return node.outputs

    def constant(self, array: Any, name: str = "constant") -> str:
        """Adds a constant."""
        name = self.fresh(name)
        self.constants[name] = as_constant(array)
        return name

    def fresh(self, stem: str) -> str:
        """A name that no value has."""
        name = stem
        while name in self._taken:
            self._numbers[stem] = self._numbers.get(stem, 0) + 1
            name = f"{stem}_{self._numbers[stem]}"
        self._taken.add(name)
        return name

    def call(self, node: Node) -> ops.Call:
        """The node with the types and constants of its inputs."""
        types = tuple(self.type_of(name) if name else None for name in node.inputs)
        return ops.Call(node, types, tuple(self.constants.get(name) if name else None for name in node.inputs))

    def graph(self, outputs: Sequence[str]) -> Graph:
        """The grown graph with these outputs."""
        from thew.ir import verify

        types = {**self._graph.types, **self._types}
        grown = self._graph.replace(
            nodes=tuple(self.nodes), outputs=tuple(outputs), constants=self.constants, types=types
        )
        verify(grown)
        return grown


def differentiate(
    extension: Extension, output: str, wanted: Collection[str], seed: str | None = None
) -> dict[str, str]:
    """Adds the nodes that compute the gradients of one number.

    Args:
        extension: the graph, all of whose types are static; it grows.
        output: a value of one element.
        wanted: values whose gradients are asked for.
        seed: the gradient of `output`, of its shape; 1 where None.

    Returns:
        The names of the gradients, by the value's name; a value on which `output` does not depend has none.

    Raises:
        UnsupportedError: an op on the way has no gradient; the node is named.

    Example:
        >>> extension = Extension(graph)
        >>> gradients = differentiate(extension, "loss", ["w"])
        >>> extension.graph([gradients["w"]])
    """
    final = extension.type_of(output)
    if seed is None:
        seed = extension.constant(np.ones(final.static_shape, to_numpy(final.dtype)), f"{output}.grad")
    return pull_back(extension, {output: seed}, wanted)


def pull_back(extension: Extension, seeds: Mapping[str, str], wanted: Collection[str]) -> dict[str, str]:
    """Adds the nodes that take gradients of some values (`seeds`: their names, of the values' shapes) back to others.

    Returns and raises as `differentiate`.
    """
    nodes = list(extension.nodes)
    needed = _needed(extension, nodes, wanted)
    terms = {name: [seed] for name, seed in seeds.items()}
    for node in reversed(nodes):
        grads = tuple(_total(extension, name, terms) for name in node.outputs)
        if not any(grads) or not any(name in needed for name in node.inputs):
            continue
        for name, gradient in zip(node.inputs, _through(extension, node, grads, needed), strict=False):
            if gradient is not None and name in needed:
                terms.setdefault(name, []).append(gradient)
    totals = {name: _total(extension, name, terms) for name in wanted}
    return {name: total for name, total in totals.items() if total is not None}


def _needed(extension: Extension, nodes: Sequence[Node], wanted: Collection[str]) -> set[str]:
    """The values on the way from those wanted: only through floats does a gradient flow."""
    needed = set(wanted)
    for node in nodes:
        if any(name in needed for name in node.inputs):
            needed.update(name for name in node.outputs if name and extension.type_of(name).dtype in FLOATS)
    return needed


def _through(
    extension: Extension, node: Node, gradients: tuple[str | None, ...], needed: set[str]
) -> Sequence[str | None]:
    rule = ops.get(node.op).grad
    if rule is None:
        raise UnsupportedError(f"{node}: {node.op} has no gradient; freeze what lies before it, or replace it")
    if node.attributes.get("activation") and node.op != "activation_grad":
        raise UnsupportedError(f"{node}: a fused activation has no gradient; differentiate before passes fuse")
    wanted = tuple(name in needed for name in node.inputs)
    extension.prefix = f"{node.name or node.outputs[0]}."
    found: Sequence[str | None] = rule(Backward(extension.call(node), gradients, wanted, extension))
    extension.prefix = ""
    return found


def _total(extension: Extension, name: str, terms: Mapping[str, list[str]]) -> str | None:
    """The sum of the gradients that have reached a value; from then on one term."""
    found = terms.get(name)
    if not found:
        return None
    while len(found) > 1:
        first, second = found.pop(0), found.pop(0)
        found.insert(0, extension.append(Node("add", (first, second), (extension.fresh(f"{name}.grad"),)))[0])
    return found[0]
