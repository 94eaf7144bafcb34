"""The same layer in another precision: for nodes of a float graph, those of a quantised one that compute the same.

Both graphs come from one model, and a value keeps its name: what is quantised has integers behind it. The twin of a
node is what lies in the quantised graph between the integers of the node's inputs and those of its output.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from thew.compress import Calibrator, Quantized
from thew.ir import Graph, Node, TensorType
from thew.passes.requantise import Quantisation
from thew.plan import PlanOptions, key_of
from thew.runtime.survey import planned_graph

_MOST = 8  # nodes of a twin: beyond, two parts of the graphs do not correspond


@dataclass(frozen=True)
class Quantised:
    """A quantised form of a model, ready to be planned.

    Attributes:
        graph: specialised, rewritten.
        quantisation: what a plan carries of it.
        integers: names of the integers behind values.
        floats: names that values have before they are quantised.
    """

    graph: Graph
    quantisation: Quantisation
    integers: Mapping[str, str]
    floats: Mapping[str, str]

    @staticmethod
    def of(made: Quantized, types: Mapping[str, TensorType], options: PlanOptions) -> Quantised:
        """Of what a calibrator made."""
        model = made.graph
        given = {value.name for value in model.inputs}
        integers, floats = {}, {}
        for node in model.nodes:
            if node.op == "quantize_linear":
                source, (stored,) = node.inputs[0], node.outputs
                values = [one.outputs[0] for one in model.consumers.get(stored, ()) if one.op == "dequantize_linear"]
                name = source if source in given else values[0]
                integers[name], floats[name] = stored, source
        graph = planned_graph(model, {name: known.static_shape for name, known in types.items()}, options)
        return Quantised(graph, Quantisation.of(made.kept, made.encodings, made.weights), integers, floats)


@dataclass(frozen=True)
class Twin:
    """A node's counterpart on integers: nodes of the quantised graph in order, and the layers that they are."""

    nodes: tuple[Node, ...]
    layers: tuple[str, ...]


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


def twins_of(graph: Graph, calibrator: Calibrator, quantised: Quantised) -> dict[str, Twin]:
    """The twins of the nodes of a float graph that have one, by key."""
    known = calibrator.layers
    twins = {}
    for node in graph.nodes:
        operands = [name for name in node.inputs if name and name not in graph.constants]
        result, integers = key_of(node), quantised.integers
        if len(node.outputs) != 1 or result not in integers or any(name not in integers for name in operands):
            continue
        nodes = between(quantised.graph, integers[result], {integers[name] for name in operands})
        covered = between(calibrator.graph, result, operands)
        if nodes and covered is not None:
            twins[result] = Twin(nodes, tuple(key for key in (one.outputs[0] for one in covered) if key in known))
    return twins
