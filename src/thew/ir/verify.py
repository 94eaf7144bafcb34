"""What makes a graph well formed, as a table of rules; each yields what breaks it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from thew.errors import ModelError
from thew.ir.graph import Graph


def _defined_once(graph: Graph) -> Iterator[str]:
    names = [value.name for value in graph.inputs] + list(graph.constants)
    names += [output for node in graph.nodes for output in node.outputs if output]
    for name, count in Counter(names).items():
        if count > 1:
            yield f"value '{name}': must be defined once, got {count} definitions; rename all but one"


def _defined_before_use(graph: Graph) -> Iterator[str]:
    known = {value.name for value in graph.inputs} | set(graph.constants)
    for node in graph.nodes:
        for name in node.inputs:
            if name and name not in known:
                yield f"{node}: input '{name}' must be defined before it is used; order the nodes topologically"
        known.update(node.outputs)
    for name in graph.outputs:
        if name not in known:
            yield f"graph '{graph.name}': output '{name}' must be defined by an input, a constant or a node"


def _names_present(graph: Graph) -> Iterator[str]:
    for value in graph.inputs:
        if not value.name:
            yield f"graph '{graph.name}': every input must have a name, got an empty one"
    for node in graph.nodes:
        if not node.op:
            yield f"{node}: must name its op, got an empty name"
        if not any(node.outputs):
            yield f"{node}: must define at least one value, got none; drop the node"


def _extents_valid(graph: Graph) -> Iterator[str]:
    for value in graph.inputs:
        for extent in value.type.shape or ():
            if isinstance(extent, int) and extent < 0:
                yield f"input '{value.name}': extents must be at least 0, got {value.type}"


RULES: tuple[Callable[[Graph], Iterator[str]], ...] = (
    _names_present,
    _defined_once,
    _defined_before_use,
    _extents_valid,
)


def verify(graph: Graph) -> None:
    """Raises ModelError with the first rule that the graph breaks."""
    for rule in RULES:
        for broken in rule(graph):
            raise ModelError(broken)
