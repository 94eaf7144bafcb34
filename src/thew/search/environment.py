"""The environment: a network on a device, as a table that agents play on, and the way from an assignment to a plan.

Phase one fills the table with measurements. Phase two plays on it; the best assignments are then built and timed whole,
since a network's time is not the sum of its layers' (caches).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from thew.errors import PlanError, UnsupportedError
from thew.ir import Graph
from thew.plan import ALL_TECHNIQUES, Choice, PlanOptions, Target, build_plan, key_of
from thew.plan.alternatives import Alternative, alternatives_of, call_of_node
from thew.plan.choose import Formulation
from thew.runtime.cache import Cache, Measurement
from thew.search.features import Features, of_option
from thew.search.game import Assignment, Table
from thew.search.measure import Measured, Surveyor, Trial, is_view, measure, measured, step_trial
from thew.search.space import LEVELS
from thew.search.transfer import Transfer
from thew.search.trial import Network

Known = Mapping[str, Measurement]


@dataclass
class Environment:
    """A network's space of plans.

    Attributes:
        source: the model that a session takes.
        graph: as it is planned: specialised, rewritten.
        target: the device; its costs are measured ones once the table is filled.
        options: techniques that plans may use.
        levels: of the design space that are searched; of the others stays what the planner chooses by itself.
        alternatives: of each node, by key.
    """

    source: Graph
    graph: Graph
    target: Target
    options: PlanOptions = field(default=ALL_TECHNIQUES, kw_only=True)
    levels: Collection[str] = field(default=LEVELS, kw_only=True)
    alternatives: dict[str, list[Alternative]] = field(default_factory=dict, init=False)

    def trials(self) -> list[Trial]:
        """All that is to be measured."""
        trials: dict[str, Trial] = {}
        target = replace(self.target, costs=Surveyor(trials))
        ways = self._ways()
        for node in self.graph.nodes:
            call = call_of_node(self.graph, node)
            for way in ways[key_of(node)]:
                if not is_view(way):
                    trial = step_trial(call, way, self.target.threads)
                    trials.setdefault(trial.key, trial)
        Formulation(self.graph, target, single(ways))
        return list(trials.values())

    def _ways(self) -> dict[str, list[Alternative]]:
        found = {
            key_of(node): alternatives_of(self.graph, self.target, node, self.options) for node in self.graph.nodes
        }
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
        self.target = replace(self.target, costs=Measured(known))
        threads, ways, usual = self.target.threads, self._ways(), self._usual()
        for node in self.graph.nodes:
            key, call = key_of(node), call_of_node(self.graph, node)
            allowed = _allowed(ways[key], usual[key], self.levels) if key in usual else ways[key]
            ways_here = distinct(measured(call, way, threads, known, refused) for way in allowed)
            self.alternatives[key] = ways_here or distinct(allowed)  # what never runs alone is estimated

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
            wanted = choices.get(key)
            same = [index for index, way in enumerate(ways) if wanted is not None and _like(way.choice, wanted)]
            if not same:
                return None
            found.append(min(same, key=lambda index: ways[index].choice != wanted))
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


def _label(choice: Choice) -> str:
    return f"{choice.precision} {choice.algorithm}"


def _allowed(ways: list[Alternative], usual: Choice, levels: Collection[str]) -> list[Alternative]:
    """The ways that differ from the usual choice on the searched levels alone."""
    if "algorithm" not in levels:
        ways = [way for way in ways if way.choice.algorithm == usual.algorithm] or ways
    if "implementation" not in levels:
        ways = [way for way in ways if way.choice.layout == usual.layout] or ways
        first: dict[str, Alternative] = {}
        for way in sorted(ways, key=lambda way: (way.choice.row != usual.row, way.cost.seconds)):
            first.setdefault(way.choice.algorithm, way)
        ways = list(first.values())
    return ways


def distinct(ways: Iterable[Alternative]) -> list[Alternative]:
    """Of the ways that neighbours cannot tell apart, by one algorithm and precision, the fastest one that can run."""
    best: dict[object, Alternative] = {}
    for way in ways:
        kind = (way.signature, way.choice.algorithm, way.choice.precision)
        if way.cost.seconds < inf and (kind not in best or way.cost.seconds < best[kind].cost.seconds):
            best[kind] = way
    return list(best.values())
