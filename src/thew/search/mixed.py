"""A space with precisions: every layer in fp32, or on 8-bit integers or in 16 bits where it has a twin there; what lies
between two precisions is a conversion, measured as the layers are.

A layout is then a word with the precision before it, ``int8:channels_last``; the problem stays the planner's own. An
assignment becomes a network by making the model's form anew, with the layers in the precisions that it wants.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import product
from math import inf, prod
from pathlib import Path

from thew.compress import Calibrator, Method
from thew.compress.digests import digest_of, model_key
from thew.compress.sensitivity import sensitivity
from thew.ir import Graph, Node
from thew.plan import Choice, key_of
from thew.plan.alternatives import ANY, Alternative, satisfies
from thew.plan.choose import Formulation
from thew.plan.cost import Cost
from thew.search.conversions import MixedFormulation, conversion_of
from thew.search.environment import Environment, Known, distinct
from thew.search.forms import FLOAT, INTEGER, Form
from thew.search.game import Assignment, Risk, Table
from thew.search.measure import Trial, measurements
from thew.search.network_level import remembered
from thew.search.space import LEVELS
from thew.search.trial import Network
from thew.search.twins import Twin, nodes_of, twins_of

_MOST_WAYS = 512  # to put those of a twin's nodes together
Picks = Mapping[str, Alternative]


@dataclass
class MixedEnvironment(Environment):
    """A network's space of plans, precisions among them.

    Attributes:
        calibrator: quantises the model; None where nothing may run on integers.
        calibration: how ranges are chosen.
        half: the 16-bit type that layers may compute in; none where it is empty.
        cache: file that what integers do to accuracy is kept in; None keeps nothing.
    """

    calibrator: Calibrator | None
    calibration: str = "minmax"
    half: str = ""
    cache: Path | None = None

    def __post_init__(self) -> None:
        self.types = {value.name: value.type for value in self.graph.inputs}
        self.forms: dict[str, Form] = {}
        if self.calibrator is not None:
            self.forms[INTEGER] = self._form((), "", None)
        if self.half:
            self.forms[self.half] = Form.of(self.source, self.types, self.options, self.half)
        self.spaces = {precision: self._space(form, self.levels) for precision, form in self.forms.items()}
        self.twins: dict[str, Mapping[str, Twin]] = {
            precision: twins_of(self.graph, form, precision, self.calibrator) for precision, form in self.forms.items()
        }
        self.parts: dict[tuple[str, Choice], tuple[Alternative, ...]] = {}  # of a twin, by key and choice
        self.between: dict[tuple[str, str, str], float] = {}  # seconds to bring a value from one precision to another
        self._forms: dict[Hashable, Form] = {}

    def _form(self, kept: tuple[str, ...], half: str, wanted: Collection[str] | None) -> Form:
        assert self.calibrator is not None
        made = self.calibrator.quantize(kept, Method(self.calibration))
        return Form.quantised(made, self.types, self.options, half, wanted)

    def _space(self, form: Form, levels: Collection[str] = LEVELS) -> Environment:
        return Environment(self.source, form.graph, self.target, options=self.options, levels=levels)

    # Measuring

    def trials(self) -> list[Trial]:
        """All that is to be measured: the graphs of all forms, and the ways between them."""
        found = {trial.key: trial for trial in super().trials()}
        for space in (*self.spaces.values(), *self._conversions.values()):
            found.update({trial.key: trial for trial in space.trials()})
        return list(found.values())

    @cached_property
    def _conversions(self) -> dict[tuple[str, str, str], Environment]:
        """For every value that a form has in its precision, the ways there and back as graphs of one node."""
        made = {}
        for precision, form in self.forms.items():
            for name, stored in form.stored[precision].items():
                real, other = self.graph.type_of(name), form.graph.type_of(stored)
                if real is not None and other is not None:
                    for way, types in (((FLOAT, precision), (real, other)), ((precision, FLOAT), (other, real))):
                        graph = conversion_of(*types)
                        made[name, *way] = Environment(graph, graph, self.target)
        return made

    def fill(self, known: Known, refused: frozenset[str]) -> None:
        """Fills the table with what was measured; what cannot run is left out."""
        self._known, self._refused = known, refused
        super().fill(known, refused)
        for space in self.spaces.values():
            space.fill(known, refused)
        for way, conversion in self._conversions.items():
            conversion.fill(known, refused)
            self.between[way] = min((one.cost.seconds for one in conversion.alternatives["y"]), default=inf)
        for node in self.graph.nodes:
            floats = [self._worded(node, way) for way in self.alternatives[key_of(node)]]
            others = [way for precision in self.forms for way in self._in_precision(node, precision)]
            self.alternatives[key_of(node)] = distinct([*floats, *others])
            self.measured[key_of(node)] += others

    def precisions_of(self, name: str) -> tuple[str, ...]:
        """The precisions that a value may be in; none where it is always as the model has it."""
        others = tuple(precision for precision, form in self.forms.items() if name in form.stored[precision])
        return (FLOAT, *others) if others else ()

    def _worded(self, node: Node, way: Alternative) -> Alternative:
        """A way in fp32, its layouts with the precision where values may have another."""

        def worded(names: Collection[str], words: Collection[str]) -> tuple[str, ...]:
            pairs = zip(names, words, strict=True)
            return tuple(f"{FLOAT}:{word}" if self.precisions_of(name) else word for name, word in pairs)

        made = [name for name in node.outputs if name]
        return replace(way, reads=worded(node.inputs, way.reads), writes=worded(made, way.writes))

    def _in_precision(self, node: Node, precision: str) -> list[Alternative]:
        """The ways to run a node's twin: one way for each of its nodes, such that they fit together."""
        twin, stored = self.twins[precision].get(key_of(node)), self.forms[precision].stored[precision]
        if twin is None:
            return []
        found = []
        each = [self.spaces[precision].alternatives[key_of(one)] for one in twin.nodes]
        if prod(map(len, each)) > _MOST_WAYS:
            each = [_fastest(ways) for ways in each]
        for ways in product(*each):
            words = self._words(twin, ways, precision)
            if words is None:
                continue
            rows = "+".join(way.choice.row for way in ways)
            threads, blockings = max(way.choice.threads for way in ways), {way.choice.blocking for way in ways}
            algorithms = "+".join(way.choice.algorithm for way in ways)
            blocking = blockings.pop() if len(blockings) == 1 else "+".join(way.choice.blocking for way in ways)
            choice = Choice(algorithms, rows, ways[0].choice.layout, precision, threads, blocking)
            reads = tuple(words.get(stored.get(name, ""), ANY) for name in node.inputs)
            writes = (f"{precision}:{ways[-1].writes[0]}",)
            cost = Cost(sum(way.cost.seconds for way in ways))
            rival = self.parts.get((key_of(node), choice))
            if rival is not None and sum(way.cost.seconds for way in rival) <= cost.seconds:
                continue  # of those that have one name, the fastest
            self.parts[key_of(node), choice] = ways
            found.append(Alternative(choice, ways[-1].candidate, ways[-1].row, reads, writes, cost))
        return found

    def _words(self, twin: Twin, ways: tuple[Alternative, ...], precision: str) -> dict[str, str] | None:
        """What is read of each operand; None where one way does not take what another makes."""
        made: dict[str, str] = {}
        words: dict[str, str] = {}
        for node, way in zip(twin.nodes, ways, strict=True):
            for name, word in zip(node.inputs, way.reads, strict=True):
                if name in made:
                    known = self.forms[precision].graph.type_of(name)
                    if known is None or not satisfies(made[name], word, known.static_shape):
                        return None
                elif name and word != words.setdefault(name, f"{precision}:{word}").removeprefix(f"{precision}:"):
                    return None
            made.update(zip(node.outputs, way.writes, strict=True))
        return words

    def formulation(self) -> Formulation:
        """The problem with precisions."""
        return MixedFormulation(self)

    def table(self) -> Table:
        """The game, with what may lose accuracy: integers."""
        made = super().table()
        lossy = tuple(tuple(way.choice.precision == INTEGER for way in ways) for ways in self.alternatives.values())
        made.risk = Risk(lossy if self.calibrator is not None else (), self._sensitivity)
        return made

    def _sensitivity(self) -> list[float]:
        """For each layer, the noise that its twin on integers adds to the outputs."""
        calibrator = self.calibrator
        assert calibrator is not None
        find = partial(sensitivity, calibrator, Method(self.calibration), progress=calibrator.progress)
        layers = [key for key, layer in calibrator.layers.items() if layer.weight]
        about = [model_key(calibrator.graph), "sensitivity", self.calibration, digest_of(calibrator.feeds.values())]
        with closing(measurements(self.cache)) if self.cache is not None else nullcontext() as kept:
            found = remembered(kept, about, layers, find)
        twins = (self.twins[INTEGER].get(key) for key in self.alternatives)
        return [max((found.get(key, 0.0) for key in twin.layers), default=0.0) if twin else 0.0 for twin in twins]

    # From assignments to networks

    def picks(self, chosen: Assignment) -> Picks:
        """The way of each node."""
        return {key: ways[option] for (key, ways), option in zip(self.alternatives.items(), chosen, strict=True)}

    def kept(self, picks: Picks) -> tuple[str, ...]:
        """The layers that are not on integers."""
        twins = self.twins.get(INTEGER, {})
        kept = [key for name in twins if picks[name].choice.precision != INTEGER for key in twins[name].layers]
        return tuple(sorted(kept))

    def accuracy_key(self, chosen: Assignment) -> Hashable:
        """The layers that are kept from integers, and those that are in 16 bits."""
        picks = self.picks(chosen)
        return self.kept(picks), tuple(key for key, way in picks.items() if way.choice.precision == self.half)

    def form_of(self, chosen: Assignment) -> Form:
        """The model in the precisions of an assignment."""
        key = self.accuracy_key(chosen)
        if key not in self._forms:
            picks = self.picks(chosen)
            wanted = [name for name, way in picks.items() if way.choice.precision == self.half]
            half = self.half if wanted else ""
            on_integers = any(way.choice.precision == INTEGER for way in picks.values())
            self._forms[key] = (
                self._form(self.kept(picks), half, wanted)
                if on_integers
                else Form.of(self.source, self.types, self.options, half, wanted)
            )
        return self._forms[key]

    def network(self, chosen: Assignment) -> Network | None:
        """The network of an assignment; None where a kernel refuses its part in it.

        What the form has and the float graph has not, above all conversions, runs in the way that is fastest beside
        what was chosen.
        """
        picks = self.picks(chosen)
        if self._is_float(picks):
            return super().network(chosen)
        form = self.form_of(chosen)
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
        return built and Network(self.source, form.sealed(built.plan))

    def _is_float(self, picks: Picks) -> bool:
        return all(way.choice.precision not in self.forms for way in picks.values())

    def graph_of(self, chosen: Assignment) -> Graph:
        """The graph that an assignment's network plans."""
        return self.graph if self._is_float(self.picks(chosen)) else self.form_of(chosen).graph

    def changed(self, chosen: Assignment, choices: Mapping[str, Choice]) -> Network | None:
        """An assignment's network with other choices for the nodes of its graph; None where a kernel refuses one."""
        if self._is_float(self.picks(chosen)):
            return super().changed(chosen, choices)
        form = self.form_of(chosen)
        built = self._space(form).built(choices)
        return built and Network(self.source, form.sealed(built.plan))

    def nodes_in(self, chosen: Assignment) -> dict[str, tuple[str, ...]]:
        """By layer, the names of the nodes that run it in an assignment's network; none where that cannot be told."""
        picks, form = self.picks(chosen), self.form_of(chosen)
        keys, found = {key_of(node): node for node in form.graph.nodes}, {}
        for node in self.graph.nodes:
            key, precision = key_of(node), picks[key_of(node)].choice.precision
            own = keys.get(form.floats.get(key, key))
            nodes = nodes_of(form, precision, self.graph, node) if precision in self.forms else (own,) if own else ()
            found[key] = tuple(one.name or str(one) for one in nodes)
        return found

    def _choices(self, form: Form, picks: Picks) -> dict[str, Choice]:
        """The picks by the keys of a form, for the nodes that it has as they were picked."""
        keys, choices = {key_of(node): node for node in form.graph.nodes}, {}
        for node in self.graph.nodes:
            key, way = key_of(node), picks[key_of(node)]
            precision = way.choice.precision
            if precision not in self.forms:
                name = form.floats.get(key, key)
                if name in keys and keys[name].op == node.op and form.graph.type_of(name) == self.graph.type_of(key):
                    choices[name] = way.choice
                continue
            found = nodes_of(form, precision, self.graph, node)
            if [one.op for one in found] == [one.op for one in self.twins[precision][key].nodes]:
                parts = self.parts[key, way.choice]
                choices.update({key_of(one): part.choice for one, part in zip(found, parts, strict=True)})
        return choices


def _fastest(ways: list[Alternative]) -> list[Alternative]:
    """The fastest of each signature."""
    best: dict[object, Alternative] = {}
    for way in sorted(ways, key=lambda way: way.cost.seconds):
        best.setdefault(way.signature, way)
    return list(best.values())
