"""The same layer in another precision: for nodes of a float graph, those of a form of it that compute the same.

The twin of a node is what lies in the form between what the node's inputs are in that precision and what its output is.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from thew.compress import Calibrator
from thew.ir import Graph, Node
from thew.plan import key_of
from thew.search.forms import INTEGER, Form

_MOST = 8  # nodes of a twin: beyond, two parts of the graphs do not correspond


@dataclass(frozen=True)
class Twin:
    """A node's counterpart: nodes of the form in order, and the layers of the calibrator that they are."""

    nodes: tuple[Node, ...]
    layers: tuple[str, ...] = ()


def between(graph: Graph, result: str, operands: Collection[str]) -> tuple[Node, ...] | None:
    """The nodes that compute a value from others and from constants, in order; None where more is needed."""
    found: dict[int, Node] = {}
    waiting = [result]
    while waiting:
        name = waiting.pop()
        if name in operands or name in graph.constants:
            continue
        node = graph.producers.get(name)
        if node is None or len(found) > _MOST:
            return None
        if id(node) not in found:
            found[id(node)] = node
            waiting.extend(filter(None, node.inputs))
    return tuple(node for node in graph.nodes if id(node) in found)


def nodes_of(form: Form, precision: str, graph: Graph, node: Node) -> tuple[Node, ...]:
    """The nodes that stand in a form for one of the float graph; none where it has no counterpart there."""
    operands = [form.name_in(precision, name) for name in _operands(graph, node)]
    result = form.name_in(precision, key_of(node))
    if len(node.outputs) != 1 or result is None or None in operands:
        return ()
    return between(form.graph, result, {name for name in operands if name is not None}) or ()


def _operands(graph: Graph, node: Node) -> list[str]:
    return [name for name in node.inputs if name and name not in graph.constants]


def twins_of(graph: Graph, form: Form, precision: str, calibrator: Calibrator | None) -> dict[str, Twin]:
    """The twins in a precision of the nodes of a float graph that have one, by key."""
    twins: dict[str, Twin] = {}
    for node in graph.nodes:
        nodes = nodes_of(form, precision, graph, node)
        if not nodes:
            continue
        layers: tuple[str, ...] = ()
        if precision == INTEGER:
            assert calibrator is not None
            covered = between(calibrator.graph, key_of(node), _operands(graph, node))
            if covered is None:
                continue
            layers = tuple(key for key in (one.outputs[0] for one in covered) if key in calibrator.layers)
        twins[key_of(node)] = Twin(nodes, layers)
    return twins
