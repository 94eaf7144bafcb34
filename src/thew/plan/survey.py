"""Every legal way to run every node of a graph, with its estimated cost: what a search plays with, and what answers
"why not the others".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from thew.errors import PlanError
from thew.ir import Graph, Node
from thew.ops import get
from thew.plan.alternatives import (
    LIKE,
    PLAIN,
    Alternative,
    alternatives_of,
    call_of_node,
)
from thew.plan.choices import Choice, key_of
from thew.plan.layouts import LAYOUTS, dense_strides
from thew.plan.lower import step_attributes
from thew.plan.options import ALL_TECHNIQUES, PlanOptions
from thew.plan.step import Step, View
from thew.plan.target import Needs, Target


@dataclass(frozen=True, slots=True)
class Way:
    """A legal way to run a node: what to force, what it is estimated to take, and what it holds."""

    choice: Choice
    seconds: float
    scratch_bytes: int
    packed_bytes: int
    alternative: Alternative

    def __str__(self) -> str:
        return f"{self.choice}: {self.seconds * 1e6:.1f} µs"


def survey(graph: Graph, target: Target, options: PlanOptions = ALL_TECHNIQUES) -> Mapping[str, tuple[Way, ...]]:
    """The legal ways of every node by its key, cheapest first; views, which run nothing, are left out.

    A way is legal where its kernel takes the step, operands lying densely in the layouts that the way asks for.
    """
    found: dict[str, tuple[Way, ...]] = {}
    for node in graph.nodes:
        ways = []
        for alternative in alternatives_of(graph, target, node, options):
            if alternative.candidate.family == "view":
                continue
            needs = _needs(graph, target, node, alternative)
            if needs is not None:
                cost = alternative.cost
                ways.append(Way(alternative.choice, cost.seconds, needs.scratch_bytes, needs.packed_bytes, alternative))
        if ways:
            found[key_of(node)] = tuple(sorted(ways, key=lambda way: way.seconds))
    return found


def step_of(graph: Graph, node: Node, alternative: Alternative) -> Step:
    """The step that a node would be, its operands dense, the caller's, and in the layouts that it asks for."""

    def view(name: str, layout: str) -> View:
        found = graph.type_of(name)
        assert found is not None
        shape = found.static_shape
        dense = layout.removeprefix(LIKE)
        strides = dense_strides(dense if dense in LAYOUTS else PLAIN, shape)
        place = "constant" if name in graph.constants else "external"
        return View(place, externals.setdefault(name, len(externals)), name, 0, found.dtype, shape, strides)

    externals: dict[str, int] = {}
    reads = zip(node.inputs, alternative.reads, strict=True)
    inputs = tuple(view(name, layout) if name else None for name, layout in reads)
    names = [name for name in node.outputs if name]
    outputs = tuple(view(name, layout) for name, layout in zip(names, alternative.writes, strict=True))
    call = call_of_node(graph, node)
    attributes, flops = step_attributes(call), get(node.op).flops(call)
    return Step(alternative.row.name, node.op, node.name or str(node), inputs, outputs, attributes, flops)


def _needs(graph: Graph, target: Target, node: Node, alternative: Alternative) -> Needs | None:
    try:
        return target.needs(step_of(graph, node, alternative))
    except PlanError:
        return None
