"""States: graph inputs that outlive a run, whose next values a run computes and leaves in their place.

A graph stays a function from old values to new ones. Only the plan lets an output lie on the input that it replaces,
and only where nothing reads the old value after the new one is written: no later node, not through a view either, and
the node that writes it only as its op's `updates` allow, or element by element. Elsewhere the new value is made beside
the old one, and copied over it at the end.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

from thew.ir import Graph, Node, TensorType
from thew.ops import get


@dataclass(frozen=True, slots=True)
class State:
    """A state tensor of a plan; `successor` is the graph output that is its next value, empty where it is only read."""

    name: str
    type: TensorType
    successor: str = ""


def may_overwrite(graph: Graph, name: str, successor: str, views: Container[str]) -> bool:
    """Whether a state's next value may be written over it by the node that computes it; `views` are ops that alias."""
    aliases, seen = {name}, False
    for node in graph.nodes:
        reads = [index for index, source in enumerate(node.inputs) if source in aliases]
        if seen and reads:
            return False
        if successor in node.outputs:
            seen = True
            allowed = [
                source for output, source in get(node.op).updates if node.outputs[output : output + 1] == (successor,)
            ]
            if _is_elementwise(node) and graph.type_of(name) == graph.type_of(successor):
                allowed = [index for index in reads if node.inputs[index] == name]
            if node.op in views or any(index not in allowed for index in reads):
                return False
        elif node.op in views and reads:
            aliases.update(node.outputs)
    return seen and aliases.isdisjoint(graph.outputs)


def _is_elementwise(node: Node) -> bool:
    """Whether each element is made of those in its place, and may be written over one of them."""
    candidates = get(node.op).candidates
    return bool(candidates) and all(candidate.family in ("unary", "binary") for candidate in candidates)


def overwritten(graph: Graph, successors: Mapping[str, str], views: Container[str]) -> dict[str, str]:
    """Those of the states (by name, with their next values) that may be overwritten in place."""
    return {name: after for name, after in successors.items() if after and may_overwrite(graph, name, after, views)}
