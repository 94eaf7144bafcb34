"""What was chosen for each layer, and what else there was: the page of a result that says why not the others."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from thew.dtypes import size_bytes
from thew.ir import Graph, Node
from thew.plan import Choice, Plan, key_of
from thew.search.environment import Environment
from thew.search.game import Assignment, Table
from thew.search.result import Layer, Other


def layers_of(environment: Environment, table: Table, chosen: Assignment | None, plan: Plan) -> tuple[Layer, ...]:
    """The layers under an assignment; under the plan's own choices where it is None, as far as it has these layers."""
    layers = []
    for position, node in enumerate(environment.graph.nodes):
        key = key_of(node)
        ways = environment.alternatives[key]
        own = ways[chosen[position]].choice if chosen is not None else plan.choices.get(key, ways[0].choice)
        ran = plan.choices.get(key)
        shown = str(ran if ran is not None and replace(ran, blocking=own.blocking) == own else own)
        known = environment.graph.type_of(key)
        shape = known.static_shape if known is not None and known.is_static else ()
        beside = _beside(table, chosen, position) if chosen is not None else [None] * len(ways)
        others = [
            Other(str(way.choice), way.cost.seconds, extra)
            for way, extra in zip(ways, beside, strict=True)
            if way.choice != own
        ]
        others.sort(key=lambda other: other.seconds)
        seconds = min((way.cost.seconds for way in ways if way.choice == own), default=0.0)
        size = _bytes(environment.graph, node, shape, own)
        layers.append(Layer(key, node.op, shape, shown, own.precision, seconds, size, tuple(others)))
    return tuple(layers)


def _beside(table: Table, chosen: Assignment, layer: int) -> list[float | None]:
    """What the sum would grow by with each option of a layer in place of the chosen one, conversions included."""
    total = table.total(chosen)
    return [
        table.total((*chosen[:layer], option, *chosen[layer + 1 :])) - total for option in range(table.options(layer))
    ]


def _bytes(graph: Graph, node: Node, shape: tuple[int, ...], choice: Choice) -> int:
    """Of a layer's result and weights in its precision."""
    weights = sum(graph.constants[name].size for name in node.inputs if name in graph.constants)
    return (prod(shape) + weights) * size_bytes(choice.precision or "fp32")
