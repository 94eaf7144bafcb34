"""Runs a graph node by node with the NumPy references of its ops: the oracle for all that is faster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from thew.errors import InputError
from thew.ir.graph import Array, Graph, Node
from thew.ops.opdef import get


def apply(node: Node, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
    """Outputs of one node from the arrays of its inputs; an absent input is None."""
    return tuple(get(node.op).reference(node.attributes, *inputs))


def evaluate(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """All outputs of a graph by name, from all its inputs by name. Raises InputError where an input is missing.

    Example:
        >>> evaluate(graph, {"x": numpy.ones((2, 4), numpy.float32)})["y"]
    """
    values: dict[str, Array] = dict(graph.constants)
    for declared in graph.inputs:
        if declared.name not in inputs:
            raise InputError(f"input '{declared.name}': must be given, got only {sorted(inputs)}")
        values[declared.name] = inputs[declared.name]
    for node in graph.nodes:
        results = apply(node, [values[name] if name else None for name in node.inputs])
        values.update((name, result) for name, result in zip(node.outputs, results, strict=False) if name)
    return {name: values[name] for name in graph.outputs}
