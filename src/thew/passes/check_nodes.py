"""Refuses a graph whose nodes do not fit their ops, before any rewrite reads their inputs and attributes.

Shapes and dtypes come later, with `specialise`; this needs none.
"""

from __future__ import annotations

from thew.ir import Graph
from thew.ops.opdef import check_node


def check_nodes(graph: Graph) -> Graph:
    """The same graph. Raises ShapeError for a node whose inputs, outputs or attributes do not fit its op."""
    for node in graph.nodes:
        check_node(node)
    return graph
