"""The environment: a network on a device, as a table that agents play on, and the way from an assignment to a plan.

Phase one fills the table with measurements. Phase two plays on it; the best assignments are then built and timed whole,
since a network's time is not the sum of its layers' (caches).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from math import inf

import numpy as np

from thew.errors import PlanError, UnsupportedError
from thew.ir import Graph
from thew.ops import Call
from thew.plan import ALL_TECHNIQUES, Choice, PlanOptions, Target, build_plan, key_of
from thew.plan.alternatives import Alternative, alternatives_of, call_of_node, is_usual, variants_of
from thew.plan.blocking import FITTED
from thew.plan.choose import Formulation
from thew.runtime.cache import Cache, Measurement
from thew.search.features import Features, of_option
from thew.search.game import Assignment, Table
from thew.search.measure import Measured, Surveyor, Trial, is_view, measure, measured, step_key, step_trial
from thew.search.space import LEVELS
from thew.search.transfer import Transfer
from thew.search.trial import Network

Known = Mapping[str, Measurement]
_MARGIN = 1.02  # of the time of another blocking than the model's
_BESIDE = 1.15  # times the fastest that is shared out otherwise: what is further behind is not asked about in place


@dataclass
class Environment:
    """A network's space of plans.

    Attributes:
        source: the model that a session takes.
        graph: as it is planned: specialised, rewritten.
        target: the device; its costs are measured ones once the table is filled.
        options: techniques that plans may use.
        levels: of the design space that are searched; of the others stays what the planner chooses by itself.
        measured: of each node, by key: all ways to run it.
        alternatives: those of them that may be best: what agents choose from.
    """

    source: Graph
    graph: Graph
    target: Target
    options: PlanOptions = field(default=ALL_TECHNIQUES, kw_only=True)
    levels: Collection[str] = field(default=LEVELS, kw_only=True)
    measured: dict[str, list[Alternative]] = field(default_factory=dict, init=False)
    alternatives: dict[str, list[Alternative]] = field(default_factory=dict, init=False)

    def trials(self) -> list[Trial]:
        """All that is to be measured."""
        trials: dict[str, Trial] = {}
        target, ways = replace(self.target, costs=Surveyor(trials)), self._ways
        for node in self.graph.nodes:
            call = call_of_node(self.graph, node)
            for way in ways[key_of(node)]:
                if not is_view(way):
                    trial = step_trial(call, way, self.target.threads)
                    trials.setdefault(trial.key, trial)
        Formulation(self.graph, target, single(ways))
        return list(trials.values())

    @cached_property
    def _ways(self) -> dict[str, list[Alternative]]:
        """Of each node: by rows and layouts, on numbers of threads and with blockings."""
        found = {}
        for node in self.graph.nodes:
            ways = alternatives_of(self.graph, self.target, node, self.options)
            found[key_of(node)] = variants_of(self.graph, self.target, node, ways)
        for key, ways in found.items():
            if not ways:
                raise UnsupportedError(
                    f"search: every node must have a kernel, got none for '{key}'; `thew explain` shows why"
                )
        return found

    def survey(
        self,
        cache: Cache,
        budget_seconds: float,
        progress: Callable[[int, int], None] = lambda done, total: None,
        farm: Executor | None = None,
        transfer: Transfer | None = None,
    ) -> None:
        """Measures, here or by a farm's workers, what another device's times do not tell, and fills the table."""
        how = measure if transfer is None else transfer.measure
        self.fill(*how(self.trials(), cache, budget_seconds, progress, farm))

    def fill(self, known: Known, refused: frozenset[str]) -> None:
        """Fills the table with what was measured; what cannot run is left out, where something else can."""
        ways = self._ways
        self.target = replace(self.target, costs=Measured(known))
        usual = self._usual()
        for node in self.graph.nodes:
            key, call = key_of(node), call_of_node(self.graph, node)
            allowed = _allowed(ways[key], usual[key], self.levels) if key in usual else ways[key]
            seen = [way for way in allowed if self._is_known(call, way, known)]
            timed = [measured(call, way, known, refused) for way in seen]
            self.measured[key] = [way for way in timed if way.cost.seconds < inf] or allowed  # else it is estimated
            self.alternatives[key] = distinct(self.measured[key])

    def _is_known(self, call: Call, way: Alternative, known: Known) -> bool:
        """Whether a way was measured, or is one that estimates are trusted for."""
        return is_view(way) or is_usual(way.choice, self.target.threads) or step_key(call, way) in known

    def _usual(self) -> Mapping[str, Choice]:
        """What the planner chooses by itself, where some level is not searched."""
        if set(LEVELS) <= set(self.levels):
            return {}
        return build_plan(self.graph, self.target, self.options).choices

    def formulation(self) -> Formulation:
        """The planner's problem at measured costs."""
        return Formulation(self.graph, self.target, single(self.alternatives))

    def table(self) -> Table:
        """The game: a layer is a node with more than one way to run, or one."""
        formulation = self.formulation()
        names = tuple(formulation.variables)
        labels = tuple(tuple(_label(way.choice) for way in self.alternatives[name]) for name in names)
        return Table(names, labels, formulation.problem, self._features())

    def _features(self) -> tuple[Features, ...]:
        """What the options of each layer look like."""
        found = []
        for node in self.graph.nodes:
            call, known = call_of_node(self.graph, node), self.graph.type_of(key_of(node))
            output = known.static_shape if known is not None and known.is_static else ()
            found.append(np.stack([of_option(call, output, way) for way in self.alternatives[key_of(node)]]))
        return tuple(found)

    def choices(self, chosen: Assignment) -> dict[str, Choice]:
        """The choice of each node."""
        return {key: ways[option].choice for (key, ways), option in zip(self.alternatives.items(), chosen, strict=True)}

    def assignment_of(self, choices: Mapping[str, Choice]) -> Assignment | None:
        """The assignment with the algorithms, layouts and precisions of these choices; None where there is none."""
        found = []
        for key, ways in self.alternatives.items():
            wanted = choices.get(key, Choice())
            same = [index for index, way in enumerate(ways) if _like(way.choice, wanted)]
            if not same:
                return None
            found.append(min(same, key=partial(_distance, ways, wanted)))
        return tuple(found)

    def network(self, chosen: Assignment) -> Network | None:
        """The network of an assignment; None where a kernel refuses its part in it."""
        return self.built(self.choices(chosen))

    def built(self, choices: Mapping[str, Choice]) -> Network | None:
        """The network under these choices; None where a kernel refuses its part in it."""
        try:
            return Network(self.source, build_plan(self.graph, self.target, self.options, choices))
        except PlanError:
            return None

    def graph_of(self, chosen: Assignment) -> Graph:
        """The graph that an assignment's network plans."""
        return self.graph

    def changed(self, chosen: Assignment, choices: Mapping[str, Choice]) -> Network | None:
        """An assignment's network with other choices for the nodes of its graph; None where a kernel refuses one."""
        return self.built(choices)

    def nodes_in(self, chosen: Assignment) -> dict[str, tuple[str, ...]]:
        """By layer, the names of the nodes that run it in an assignment's network."""
        return {key_of(node): (node.name or str(node),) for node in self.graph.nodes}

    def accuracy_key(self, chosen: Assignment) -> Hashable:
        """What the accuracy of an assignment depends on: nothing, as long as all compute the same."""
        return ()


def single(alternatives: Mapping[str, list[Alternative]]) -> dict[str, list[list[Alternative]]]:
    """Each alternative as a group of its own."""
    return {key: [[way] for way in ways] for key, ways in alternatives.items()}


def _like(one: Choice, other: Choice) -> bool:
    return (one.algorithm, one.layout, one.precision) == (other.algorithm, other.layout, other.precision)


def _distance(ways: list[Alternative], wanted: Choice, index: int) -> tuple[bool, bool]:
    choice = ways[index].choice
    return choice.threads != wanted.threads, choice != wanted


def _label(choice: Choice) -> str:
    return f"{choice.precision} {choice.algorithm}"


def _allowed(ways: list[Alternative], usual: Choice, levels: Collection[str]) -> list[Alternative]:
    """The ways that differ from the usual choice on the searched levels alone."""
    if "algorithm" not in levels:
        ways = [way for way in ways if way.choice.algorithm == usual.algorithm] or ways
    if "implementation" not in levels:
        ways = [way for way in ways if way.choice.layout == usual.layout] or ways
        how = usual.threads, usual.blocking
        ways = [way for way in ways if (way.choice.threads, way.choice.blocking) == how] or ways
        first: dict[str, Alternative] = {}
        for way in sorted(ways, key=lambda way: (way.choice.row != usual.row, way.cost.seconds)):
            first.setdefault(way.choice.algorithm, way)
        ways = list(first.values())
    return ways


def _sure(way: Alternative) -> float:
    """The seconds of a way; of one whose blocking is not the model's, more: it is not to win by noise."""
    return way.cost.seconds * (1.0 if way.choice.blocking == FITTED else _MARGIN)


def distinct(ways: Iterable[Alternative]) -> list[Alternative]:
    """Of the ways that neighbours cannot tell apart, by one algorithm and precision, the fastest one that can run; and
    of those that are shared out otherwise between threads what is near it: in place, what a thread finds in its cache
    counts, too.
    """
    best: dict[object, dict[object, Alternative]] = {}
    for way in ways:
        of_kind = best.setdefault((way.signature, way.choice.algorithm, way.choice.precision), {})
        shared = way.choice.threads, way.choice.blocking if way.choice.threads > 1 else ""
        known = of_kind.get(shared)
        if way.cost.seconds < inf and (known is None or _sure(way) < _sure(known)):
            of_kind[shared] = way
    found = []
    for of_kind in best.values():
        least = min((way.cost.seconds for way in of_kind.values()), default=inf)
        found += [way for way in of_kind.values() if way.cost.seconds <= _BESIDE * least]
    return found
