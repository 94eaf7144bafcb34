"""A space with precisions: every layer in fp32, or on 8-bit integers where it has a twin there; what lies between two
precisions is a quantisation or a dequantisation, measured as the layers are.

A layout is then a word with the precision before it, ``int8:channels_last``; the problem stays the planner's own. An
assignment becomes a network by quantising the model anew with the layers kept float that the assignment wants so.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import inf, prod

import numpy as np

from thew.compress import Calibrator, Method
from thew.compress.sensitivity import sensitivity
from thew.dtypes import to_numpy
from thew.ir import Graph, Node, TensorType, Value
from thew.plan import Choice, key_of
from thew.plan.alternatives import ANY, OTHER, Alternative, satisfies
from thew.plan.choose import Formulation
from thew.plan.cost import Cost
from thew.search.environment import Environment, Known, distinct, single
from thew.search.game import Assignment, Risk, Table
from thew.search.measure import Trial
from thew.search.space import LEVELS
from thew.search.trial import Network
from thew.search.twins import Quantised, Twin, between, twins_of

FLOAT, INTEGER = "fp32", "int8"
_MOST_WAYS = 512  # to put those of a twin's nodes together


@dataclass
class MixedEnvironment(Environment):
    """A network's space of plans, precisions among them.

    Attributes:
        calibrator: quantises the model.
        calibration: how ranges are chosen.
    """

    calibrator: Calibrator
    calibration: str = "minmax"

    def __post_init__(self) -> None:
        self.types = {value.name: value.type for value in self.graph.inputs}
        self.whole = self._quantised(())
        self.integers = self._space(self.whole, self.levels)
        self.twins: Mapping[str, Twin] = twins_of(self.graph, self.calibrator, self.whole)
        self.parts: dict[str, dict[Choice, tuple[Alternative, ...]]] = {}
        self.between: dict[tuple[str, str], float] = {}  # seconds to bring a value into a precision
        self._forms: dict[tuple[str, ...], Quantised] = {}

    def _quantised(self, kept: tuple[str, ...]) -> Quantised:
        return Quantised.of(self.calibrator.quantize(kept, Method(self.calibration)), self.types, self.options)

    def _space(self, form: Quantised, levels: Collection[str] = LEVELS) -> Environment:
        return Environment(self.source, form.graph, self.target, options=self.options, levels=levels)

    # Measuring

    def trials(self) -> list[Trial]:
        """All that is to be measured: both graphs, and the ways between them."""
        found = {trial.key: trial for trial in (*super().trials(), *self.integers.trials())}
        for conversion in self._conversions.values():
            found.update({trial.key: trial for trial in conversion.trials()})
        return list(found.values())

    @cached_property
    def _conversions(self) -> dict[tuple[str, str], Environment]:
        """For every value with integers behind it, the way there and the way back as graphs of one node."""
        made = {}
        for name, stored in self.whole.integers.items():
            real, whole = self.graph.type_of(name), self.whole.graph.type_of(stored)
            if real is not None and whole is not None:
                for precision, op, source, result in (
                    (INTEGER, "quantize_linear", real, whole),
                    (FLOAT, "dequantize_linear", whole, real),
                ):
                    graph = _one_node(op, source, result)
                    made[name, precision] = Environment(graph, graph, self.target)
        return made

    def fill(self, known: Known, refused: frozenset[str]) -> None:
        """Fills the table with what was measured; what cannot run is left out."""
        self._known, self._refused = known, refused
        super().fill(known, refused)
        self.integers.fill(known, refused)
        for way, conversion in self._conversions.items():
            conversion.fill(known, refused)
            self.between[way] = min((one.cost.seconds for one in conversion.alternatives["y"]), default=inf)
        for node in self.graph.nodes:
            key = key_of(node)
            floats = [self._worded(node, way) for way in self.alternatives[key]]
            self.parts[key] = {}
            self.alternatives[key] = distinct([*floats, *self._on_integers(node)])

    def _worded(self, node: Node, way: Alternative) -> Alternative:
        """A way in fp32, its layouts with the precision where values may have another."""
        has = self.whole.integers
        reads = tuple(
            f"{FLOAT}:{word}" if name in has else word for name, word in zip(node.inputs, way.reads, strict=True)
        )
        made = filter(None, node.outputs)
        writes = tuple(f"{FLOAT}:{word}" if name in has else word for name, word in zip(made, way.writes, strict=True))
        return replace(way, reads=reads, writes=writes)

    def _on_integers(self, node: Node) -> list[Alternative]:
        """The ways to run a node's twin: one way for each of its nodes, such that they fit together."""
        twin = self.twins.get(key_of(node))
        if twin is None:
            return []
        found = []
        each = [self.integers.alternatives[key_of(one)] for one in twin.nodes]
        if prod(map(len, each)) > _MOST_WAYS:
            each = [_fastest(ways) for ways in each]
        for ways in product(*each):
            words = self._words(twin, ways)
            if words is None:
                continue
            rows = "+".join(way.choice.row for way in ways)
            choice = Choice("+".join(way.choice.algorithm for way in ways), rows, ways[0].choice.layout, INTEGER)
            reads = tuple(words.get(self.whole.integers.get(name, ""), ANY) for name in node.inputs)
            writes = (f"{INTEGER}:{ways[-1].writes[0]}",)
            cost = Cost(sum(way.cost.seconds for way in ways))
            self.parts[key_of(node)][choice] = ways
            found.append(Alternative(choice, ways[-1].candidate, ways[-1].row, reads, writes, cost))
        return found

    def _words(self, twin: Twin, ways: tuple[Alternative, ...]) -> dict[str, str] | None:
        """What is read of each operand; None where one way does not take what another makes."""
        made: dict[str, str] = {}
        words: dict[str, str] = {}
        for node, way in zip(twin.nodes, ways, strict=True):
            for name, word in zip(node.inputs, way.reads, strict=True):
                if name in made:
                    known = self.integers.graph.type_of(name)
                    if known is None or not satisfies(made[name], word, known.static_shape):
                        return None
                elif name and word != words.setdefault(name, f"{INTEGER}:{word}").removeprefix(f"{INTEGER}:"):
                    return None
            made.update(zip(node.outputs, way.writes, strict=True))
        return words

    def formulation(self) -> Formulation:
        """The problem with precisions."""
        return _MixedFormulation(self)

    def table(self) -> Table:
        """The game, with what may lose accuracy: integers."""
        made = super().table()
        lossy = tuple(tuple(way.choice.precision == INTEGER for way in ways) for ways in self.alternatives.values())
        made.risk = Risk(lossy, self._sensitivity)
        return made

    def _sensitivity(self) -> list[float]:
        """For each layer, the noise that its twin adds to the outputs."""
        found = sensitivity(self.calibrator, Method(self.calibration))
        twins = (self.twins.get(key) for key in self.alternatives)
        return [max((found.get(key, 0.0) for key in twin.layers), default=0.0) if twin else 0.0 for twin in twins]

    # From assignments to networks

    def kept(self, chosen: Assignment) -> tuple[str, ...]:
        """The layers that an assignment wants in fp32."""
        kept: list[str] = []
        for (key, ways), option in zip(self.alternatives.items(), chosen, strict=True):
            if key in self.twins and ways[option].choice.precision != INTEGER:
                kept += self.twins[key].layers
        return tuple(sorted(kept))

    def accuracy_key(self, chosen: Assignment) -> Hashable:
        """The layers that are kept in fp32."""
        return self.kept(chosen)

    def network(self, chosen: Assignment) -> Network | None:
        """The network of an assignment; None where a kernel refuses its part in it.

        What the quantised graph has and the float one has not, above all conversions, runs in the way that is fastest
        beside what was chosen.
        """
        picks = {key: ways[option] for (key, ways), option in zip(self.alternatives.items(), chosen, strict=True)}
        if all(way.choice.precision != INTEGER for way in picks.values()):
            return super().network(chosen)
        kept = self.kept(chosen)
        if kept not in self._forms:
            self._forms[kept] = self._quantised(kept)
        form = self._forms[kept]
        space = self._space(form)
        space.fill(self._known, self._refused)
        free = dict(space.alternatives)
        for key, choice in self._choices(form, picks).items():
            space.alternatives[key] = [way for way in free[key] if way.choice == choice] or free[key]
        table = space.table()
        best = table.optimum()
        if table.total(best) == inf:
            space.alternatives = free
            best = space.table().optimum()
        built = space.built(space.choices(best))
        return built and Network(self.source, replace(built.plan, quantisation=form.quantisation))

    def _choices(self, form: Quantised, picks: Mapping[str, Alternative]) -> dict[str, Choice]:
        """The picks by the keys of a quantised form, for the nodes that it has as they were picked."""
        keys, choices = {key_of(node): node for node in form.graph.nodes}, {}
        nodes = {key_of(node): node for node in self.graph.nodes}
        for key, way in picks.items():
            if way.choice.precision != INTEGER:
                name = form.floats.get(key, key)
                if name in keys and keys[name].op == nodes[key].op:
                    choices[name] = way.choice
                continue
            names = form.integers
            operands = {names[name] for name in nodes[key].inputs if name in names}
            found = between(form.graph, names[key], operands) if key in names else None
            if found and [node.op for node in found] == [node.op for node in self.twins[key].nodes]:
                parts = self.parts[key][way.choice]
                choices.update({key_of(node): part.choice for node, part in zip(found, parts, strict=True)})
        return choices


def _fastest(ways: list[Alternative]) -> list[Alternative]:
    """The fastest of each signature."""
    best: dict[object, Alternative] = {}
    for way in sorted(ways, key=lambda way: way.cost.seconds):
        best.setdefault(way.signature, way)
    return list(best.values())


def _one_node(op: str, source: TensorType, result: TensorType) -> Graph:
    """A graph that brings a tensor into another precision; times do not depend on the steps."""
    stored = source if op == "dequantize_linear" else result
    constants = {"scale": np.ones((), np.float32), "zero": np.zeros((), to_numpy(stored.dtype))}
    node = Node(op, ("x", "scale", "zero"), ("y",))
    return Graph(op, (Value("x", source),), ("y",), (node,), constants, {"y": result})


class _MixedFormulation(Formulation):
    """The planner's problem, with the precision in the word for a layout."""

    def __init__(self, space: MixedEnvironment) -> None:
        self._space = space
        super().__init__(space.graph, space.target, single(space.alternatives))

    def _orders(self, name: str) -> tuple[str, ...]:
        layouts = super()._orders(name)
        if name not in self._space.whole.integers:
            return layouts
        return tuple(f"{precision}:{layout}" for precision in (FLOAT, INTEGER) for layout in layouts)

    def _fits(self, name: str, made: str, wanted: str) -> bool:
        (own, layout), (other, word) = _split(made), _split(wanted)
        return own == other and super()._fits(name, layout, word)

    def _conversion(self, name: str, made: str, wanted: str) -> float:
        (own, layout), (other, word) = _split(made), _split(wanted)
        if own == other:
            return self._moved(name, layout, word, own)
        through = min(self._moved(name, layout, word, precision) for precision in (own, other))
        return self._space.between.get((name, other), inf) + through

    def _moved(self, name: str, made: str, wanted: str, precision: str) -> float:
        if satisfies(made, wanted, self._shape(name)):
            return 0.0
        stored = self._space.whole.graph.type_of(self._space.whole.integers[name]) if precision == INTEGER else None
        if stored is None:
            return super()._conversion(name, made, wanted)
        if OTHER in (made, wanted):
            return inf
        return self.target.costs.copy_seconds(stored.static_shape, stored.dtype, self.target.threads)


def _split(word: str) -> tuple[str, str]:
    """Precision and layout; a word without a precision is fp32's."""
    precision, _, layout = word.rpartition(":")
    return precision or FLOAT, layout
