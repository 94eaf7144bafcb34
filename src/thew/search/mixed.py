"""The choice over two precisions: every node as it is or reduced, with the casts that lie between.

The graph is known in both forms, and a node by its key in either. What a neighbour sees of an alternative is a precision
and a layout, ``bf16/channels_last``; a conversion between two of these is one copy, which casts on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf

from thew.ir import Graph, Node
from thew.plan import key_of
from thew.plan.alternatives import ANY, OTHER, PLAIN, Alternative, orders_of, satisfies
from thew.plan.choose import Formulation
from thew.plan.target import Target

WIDE = "fp32"


def _parts(layout: str) -> tuple[str, str]:
    precision, _, inner = layout.partition("/")
    return precision, inner


class MixedFormulation(Formulation):
    """A graph's nodes in fp32 and reduced, as one problem."""

    border = f"{WIDE}/{PLAIN}"

    def __init__(self, graph: Graph, target: Target, options: Mapping[str, list[list[Alternative]]], reduced: str):
        self._reduced = reduced
        super().__init__(graph, target, options)

    def _orders(self, name: str) -> tuple[str, ...]:
        orders = orders_of(self._shape(name))
        return tuple(f"{precision}/{layout}" for precision in (WIDE, self._reduced) for layout in orders)

    def _fits(self, name: str, made: str, wanted: str) -> bool:
        (had, layout), (asked, inner) = _parts(made), _parts(wanted)
        return had == asked and satisfies(layout, inner, self._shape(name))

    def _conversion(self, name: str, made: str, wanted: str) -> float:
        if self._fits(name, made, wanted):
            return 0.0
        (_, layout), (_, inner) = _parts(made), _parts(wanted)
        if inner == OTHER and layout != OTHER:
            return inf
        found = self.graph.type_of(name)
        assert found is not None
        transposed = not satisfies(layout, inner, self._shape(name))
        return self.target.costs.copy_seconds(found.static_shape, found.dtype, self.target.threads, transposed)


def labelled(way: Alternative, node: Node, graph: Graph, reduced: str) -> Alternative:
    """An alternative of a node of either graph, with precisions before its layouts.

    What a node reads or writes in the reduced type is reduced; all else counts as fp32, which is what the other form of
    the graph has there.
    """

    def label(name: str, layout: str) -> str:
        if name in graph.constants or not name:
            return ANY
        found = graph.type_of(name)
        precision = reduced if found is not None and found.dtype == reduced else WIDE
        return f"{precision}/{layout}"

    outputs = [name for name in node.outputs if name]
    return replace(
        way,
        reads=tuple(label(name, layout) for name, layout in zip(node.inputs, way.reads, strict=True)),
        writes=tuple(label(name, layout) for name, layout in zip(outputs, way.writes, strict=True)),
    )


def is_reduced(node: Node, graph: Graph, reduced: str) -> bool:
    """Whether a node of the reduced graph computes in the reduced type."""
    found = graph.type_of(key_of(node))
    return found is not None and found.dtype == reduced
