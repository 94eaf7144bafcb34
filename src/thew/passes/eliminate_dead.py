"""Takes out nodes that no graph output depends on, and constants that nothing reads."""

from __future__ import annotations

from thew.ir import Graph


def eliminate_dead(graph: Graph) -> Graph:
    """The graph with only what its outputs need; its inputs stay as they are."""
    needed = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if needed.isdisjoint(node.outputs):
            continue
        kept.append(node)
        needed.update(name for name in node.inputs if name)
    if len(kept) == len(graph.nodes) and needed.issuperset(graph.constants):
        return graph
    defined = {output for node in kept for output in node.outputs}
    return graph.replace(
        nodes=tuple(reversed(kept)),
        constants={name: array for name, array in graph.constants.items() if name in needed},
        types={name: known for name, known in graph.types.items() if name in defined},
    )
