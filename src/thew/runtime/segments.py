"""A graph cut into segments: what runs in one native call, what Python runs, and what must wait for data.

The order of nodes is kept, so that a segment reads graph inputs, constants and what segments before it gave.
"""

from __future__ import annotations

from collections.abc import Mapping

from thew.ir import Graph, Node, TensorType, Value
from thew.plan import Target
from thew.plan.alternatives import candidates_of

OPAQUE = "opaque"  # the dtype of a value that is no tensor: a sequence, an optional, a map


def segments(graph: Graph, target: Target, refused: Mapping[int, str]) -> list[tuple[list[Node], str]]:
    """Runs of nodes in order: "native", "python", and at most one "deferred" at the end.

    Args:
        graph: specialised.
        target: whose kernel table says what is native.
        refused: nodes, by position, that were found to have no kernel after all, and why.
    """
    found: list[tuple[list[Node], str]] = []
    for position, node in enumerate(graph.nodes):
        if _waits(graph, node) and (found or not _is_ready(graph, node)):
            found.append((list(graph.nodes[position:]), "deferred"))
            return found
        kind = "native" if position not in refused and candidates_of(graph, target, node) else "python"
        if found and found[-1][1] == kind:
            found[-1][0].append(node)
        else:
            found.append(([node], kind))
    return found


def _waits(graph: Graph, node: Node) -> bool:
    """Whether something that the node reads has no known shape."""
    types = (graph.type_of(name) for name in node.inputs if name)
    return any(known is None or not known.is_static for known in types)


def _is_ready(graph: Graph, node: Node) -> bool:
    """Whether all that the node reads is there from the start (opaque values never have a type): as a graph's first
    node it runs now, since deferring would not end.
    """
    inputs = {value.name for value in graph.inputs} | set(graph.constants)
    return all(name in inputs for name in node.inputs if name)


def subgraph(graph: Graph, nodes: list[Node]) -> Graph:
    """The nodes as a graph of their own: reads what is defined before, gives what is used after."""
    defined = {output for node in nodes for output in node.outputs if output}
    members = set(map(id, nodes))
    read = dict.fromkeys(name for node in nodes for name in node.inputs if name and name not in defined)
    wanted = set(graph.outputs)
    for node in graph.nodes:
        if id(node) not in members:
            wanted.update(node.inputs)
    constants = {name: graph.constants[name] for name in read if name in graph.constants}
    unknown = TensorType(OPAQUE, None)
    inputs = tuple(Value(name, graph.type_of(name) or unknown) for name in read if name not in constants)
    order = [name for name in graph.outputs if name in defined]
    order += [output for node in nodes for output in node.outputs if output in wanted and output not in order]
    if graph.inputs and {value.name for value in inputs} == {value.name for value in graph.inputs}:
        inputs = graph.inputs  # in the graph's order
    return Graph(graph.name, inputs, tuple(dict.fromkeys(order)), tuple(nodes), constants, graph.types)
