"""Forms of a model: as it is planned with its layers, or some of them, on 8-bit integers or in 16 bits.

A value keeps its name in all of them. Where it is on integers, those have a name beside it; where a layer that computes
in 16 bits reads what is fp32, a cast gives it in 16. A form is all that a plan of such a network carries: the
quantisation, the reduced precision, and what stays in fp32 beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from thew.compress import Quantized
from thew.ir import Graph, TensorType
from thew.passes.reduce_precision import reduced_nodes
from thew.passes.requantise import Quantisation
from thew.plan import Plan, PlanOptions
from thew.runtime.survey import planned_graph

FLOAT, INTEGER = "fp32", "int8"


@dataclass(frozen=True)
class Form:
    """A model in some precisions, ready to be planned.

    Attributes:
        graph: specialised, rewritten.
        stored: by precision, the names of what values are in it, by their own.
        floats: names that values have before they are quantised.
        precision: 16-bit type of the plan; fp32 where it has none.
        kept: nodes that could be reduced to it and are not, by their first output.
        quantisation: of what is on integers; None where nothing is.
    """

    graph: Graph
    stored: Mapping[str, Mapping[str, str]]
    floats: Mapping[str, str] = field(default_factory=dict)
    precision: str = FLOAT
    kept: tuple[str, ...] = ()
    quantisation: Quantisation | None = None

    @staticmethod
    def of(
        model: Graph,
        types: Mapping[str, TensorType],
        options: PlanOptions,
        half: str = "",
        wanted: Collection[str] | None = None,
    ) -> Form:
        """A float or quantised model, with layers reduced to a 16-bit type.

        Args:
            model: as read, or as a calibrator made it.
            types: of its inputs.
            options: techniques that plans may use.
            half: the 16-bit type; none where it is empty.
            wanted: first outputs of the nodes that are reduced, by the names that they have in the float graph; None
                for all that can be.
        """
        shapes = {name: known.static_shape for name, known in types.items()}
        integers, floats = _quantised_values(model)
        stored: dict[str, Mapping[str, str]] = {INTEGER: integers} if integers else {}
        if not half:
            return Form(planned_graph(model, shapes, options), stored, floats)
        kept: tuple[str, ...] = ()
        if wanted is not None:
            can = reduced_nodes(planned_graph(model, shapes, options), half)
            kept = tuple(sorted(can - {floats.get(name, name) for name in wanted}))
        graph = planned_graph(model, shapes, options, half, kept)
        return Form(graph, {**stored, half: _halves(graph, half)}, floats, half, kept)

    @staticmethod
    def quantised(
        made: Quantized,
        types: Mapping[str, TensorType],
        options: PlanOptions,
        half: str = "",
        wanted: Collection[str] | None = None,
    ) -> Form:
        """What a calibrator made, with layers of the rest reduced as `of` has it."""
        form = Form.of(made.graph, types, options, half, wanted)
        return replace(form, quantisation=Quantisation.of(made.kept, made.encodings, made.weights))

    def sealed(self, plan: Plan) -> Plan:
        """A plan of this form, with all that a session needs to make the form again."""
        return replace(plan, precision=self.precision, kept=self.kept, quantisation=self.quantisation)

    def name_in(self, precision: str, value: str) -> str | None:
        """What a value of the float graph is called here in a precision; None where it is not there in it."""
        names = self.stored.get(precision, {})
        return names.get(value) or names.get(self.floats.get(value, value))


def _quantised_values(model: Graph) -> tuple[dict[str, str], dict[str, str]]:
    """By value: the integers behind it, and its name before it is quantised."""
    given = {value.name for value in model.inputs}
    integers, floats = {}, {}
    for node in model.nodes:
        if node.op == "quantize_linear":
            source, (stored,) = node.inputs[0], node.outputs
            values = [one.outputs[0] for one in model.consumers.get(stored, ()) if one.op == "dequantize_linear"]
            name = source if source in given else values[0]
            integers[name], floats[name] = stored, source
    return integers, floats


def _halves(graph: Graph, half: str) -> dict[str, str]:
    """By value: itself where it is in 16 bits, or the cast of it that is."""
    found: dict[str, str] = {}
    for node in graph.nodes:
        for name in node.outputs:
            known = graph.type_of(name) if name else None
            if known is not None and known.dtype == half:
                found[name] = name
                if node.op == "cast":
                    found.setdefault(node.inputs[0], name)
    return found
