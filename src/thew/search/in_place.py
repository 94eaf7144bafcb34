"""The table corrected by what layers take within whole networks, where caches hold what the layer before has left and
weights come from further away than in a measurement of the layer alone.

A way that was seen in place costs what it took there. The other ways of that layer change as it did: what is cold for
one is cold for all, and only what was seen to be slower than expected gives way to others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from statistics import median

from thew.compress.observe import Progress, silent
from thew.plan import Choice
from thew.plan.alternatives import Alternative
from thew.plan.cost import Cost
from thew.search.agents.baselines import greedy
from thew.search.environment import Environment
from thew.search.game import Assignment, Table
from thew.search.trial import Trials

ROUNDS = 16  # of looking and correcting, at most
Steps = Iterable[tuple[tuple[str, ...], float]]  # names of the nodes that a step runs, and its seconds


@dataclass
class InPlace:
    """What ways of layers took within networks.

    Attributes:
        environment: whose costs are corrected.
        alone: seconds of each way by itself, by layer and choice.
        seen: seconds within networks.
    """

    environment: Environment
    alone: Mapping[tuple[str, Choice], float] = field(init=False)
    seen: dict[tuple[str, Choice], list[float]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        ways = self.environment.alternatives.items()
        self.alone = {(key, way.choice): way.cost.seconds for key, own in ways for way in own}

    def add(self, chosen: Assignment, steps: Steps) -> None:
        """Takes in the steps of an assignment's network. A layer counts where it can be told from all others."""
        layers = self.environment.nodes_in(chosen)
        owners = {name: key for key, names in layers.items() for name in names}
        counts = Counter(name for names in layers.values() for name in names)
        steps = list(steps)
        times = Counter(name for names, _ in steps for name in names)
        picks = {key: ways[option].choice for (key, ways), option in self._chosen(chosen)}
        found: dict[str, float] = {}
        for names, seconds in steps:
            known = [owners[name] for name in names if name in owners]
            parts = [self.alone[key, picks[key]] / len(layers[key]) for key in known]
            for key, part in zip(known, parts, strict=True):
                found[key] = found.get(key, 0.0) + seconds * part / (sum(parts) or 1.0)
        for key, seconds in found.items():
            if seconds > 0 and all(counts[name] == times[name] == 1 for name in layers[key]):
                self.seen.setdefault((key, picks[key]), []).append(seconds)

    def _chosen(self, chosen: Assignment) -> Iterable[tuple[tuple[str, list[Alternative]], int]]:
        return zip(self.environment.alternatives.items(), chosen, strict=True)

    def correct(self) -> None:
        """Gives every way of the environment its cost in place."""
        for key, ways in self.environment.alternatives.items():
            ratios = [
                median(self.seen[key, way.choice]) / self.alone[key, way.choice]
                for way in ways
                if (key, way.choice) in self.seen and self.alone[key, way.choice] > 0
            ]
            if ratios:
                typical = median(ratios)
                self.environment.alternatives[key] = [
                    replace(way, cost=Cost(self._in_place(key, way.choice, typical))) for way in ways
                ]

    def _in_place(self, key: str, choice: Choice, typical: float) -> float:
        seen = self.seen.get((key, choice))
        return median(seen) if seen else self.alone[key, choice] * typical


def corrected(
    environment: Environment,
    table: Table,
    trials: Trials,
    usual: Mapping[str, Choice],
    progress: Progress = silent,
) -> tuple[Table, dict[Assignment, float]]:
    """The table at what layers take within networks, and the seconds of the networks that were looked at.

    These are that of the planner's choices (`usual`) and those that are best by the table, again and again as it is
    corrected, until they are such as were seen: a way that was not seen yet is thought no worse in place than its
    layer's others, so that it is looked at before it is given up.
    """
    seen, looked = InPlace(environment), dict[Assignment, float]()
    first = environment.assignment_of(usual)
    for number in range(ROUNDS):
        progress("in place", number, ROUNDS)
        waiting = {table.optimum(), greedy(table), *([first] if first is not None else [])} - looked.keys()
        if not waiting:
            break
        for chosen in waiting:
            network = environment.network(chosen)
            steps = [] if network is None else trials.in_place(network)
            seen.add(chosen, steps)
            looked[chosen] = sum(seconds for _, seconds in steps) if steps else inf
        seen.correct()
        table = environment.table()
    return table, looked
