"""What was chosen for each layer, and what else there was: the page of a result that says why not the others."""

from __future__ import annotations

from thew.plan import Plan
from thew.search.environment import Environment
from thew.search.game import Assignment
from thew.search.result import Layer


def layers_of(environment: Environment, chosen: Assignment | None, plan: Plan) -> tuple[Layer, ...]:
    """The layers under an assignment; under the plan's own choices where it is None, as far as it has these layers."""
    layers = []
    for position, node in enumerate(environment.graph.nodes):
        key = next(name for name in node.outputs if name)
        ways = environment.alternatives[key]
        own = ways[chosen[position]].choice if chosen is not None else plan.choices.get(key, ways[0].choice)
        known = environment.graph.type_of(key)
        shape = known.static_shape if known is not None and known.is_static else ()
        times = sorted(((str(way.choice), way.cost.seconds) for way in ways), key=lambda pair: pair[1])
        seconds = min((way.cost.seconds for way in ways if way.choice == own), default=0.0)
        others = tuple(pair for pair in times if pair[0] != str(own))
        layers.append(Layer(key, node.op, shape, str(own), seconds, others))
    return tuple(layers)
