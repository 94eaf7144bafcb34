"""Agents play for every objective on one table; the best that each found goes on to be timed as a whole network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thew.compress.observe import Progress
from thew.search.agents import Agent, Found, make_agent, play
from thew.search.game import Assignment, Table
from thew.search.objective import LATENCY, PARETO, Objective

_FINALISTS = 4  # of one objective, timed as whole networks beside the default plan
_HOPELESS = 2.0  # times the best value: no whole network makes up for it
MakeGoal = Callable[[Objective], Callable[[Assignment], float]]


@dataclass
class Contest:
    """Who plays, and what they found.

    Attributes:
        agent: who searches; its settings; the others are what it is judged by.
        found: by agent, for the first objective.
        finalists: assignments to be timed, by name.
    """

    agent: str
    settings: Mapping[str, Any]
    baselines: Sequence[str]
    episodes: int
    found: dict[str, Found] = field(default_factory=dict)
    finalists: dict[str, Assignment] = field(default_factory=dict)

    def players(self) -> dict[str, Agent]:
        """Agents by name. Raises InputError for one that there is not."""
        names = dict.fromkeys((self.agent, *self.baselines))
        return {name: make_agent(name, **(self.settings if name == self.agent else {})) for name in names}

    def hold(self, table: Table, wanted: Objective, make_goal: MakeGoal, seed: int, progress: Progress) -> None:
        """Plays for an objective, or for several that span the front."""
        for label, one in _objectives(wanted):
            table.extra = make_goal(one)
            found: dict[str, Found] = {}
            players = sorted(self.players().items(), key=_exact_first)
            for position, (name, player) in enumerate(players):
                progress("playing", position, len(players))
                found[name] = play(player, table, self.episodes, seed)
            self.finalists.update(self._best_of(found, label))
            self.found = self.found or found
        table.extra = lambda chosen: 0.0

    def enter(self, name: str, looked: Mapping[Assignment, float]) -> None:
        """Adds the fastest of some networks that ran already, and were not found by a player."""
        best = min(looked, key=looked.__getitem__, default=None)
        if best is not None and np.isfinite(looked[best]) and best not in self.finalists.values():
            self.finalists[name] = best

    def _best_of(self, found: Mapping[str, Found], label: str) -> dict[str, Assignment]:
        """The best assignment of each agent, without repetitions, best first, as far as they are near the best."""
        finalists: dict[str, Assignment] = {}
        most = _HOPELESS * min(one.value for one in found.values())
        for name, one in sorted(found.items(), key=lambda item: item[1].value):
            known = one.best in finalists.values() or one.best in self.finalists.values()
            if np.isfinite(one.value) and one.value <= most and not known and len(finalists) < _FINALISTS:
                finalists[name + label] = one.best
        return finalists

    def regrets(self, table: Table, seeds: Sequence[int], progress: Progress) -> dict[str, tuple[float, ...]]:
        """For each agent and seed, by what share its best sum is over the least one of the table."""
        optimum = table.total(table.optimum())
        regrets = {}
        for position, (name, player) in enumerate(self.players().items()):
            progress("regrets", position, len(self.baselines) + 1)
            asked = seeds if player.learns else seeds[:1]  # what leaves nothing to chance plays once for all seeds
            own = [play(player, table, self.episodes, seed).value / optimum - 1 for seed in asked]
            regrets[name] = tuple(own * (len(seeds) // len(asked)))
        return regrets


def _exact_first(player: tuple[str, Agent]) -> bool:
    """What is sure to be good goes first: the others then ask less of what takes long."""
    return player[1].learns


def _objectives(wanted: Objective) -> list[tuple[str, Objective]]:
    """What is played for; the whole front by its ends and three mixtures of them."""
    if PARETO not in wanted.weights:
        return [("", wanted)]
    mixtures: list[Mapping[str, float]] = [{LATENCY: 1.0}, {"memory": 1.0}]
    mixtures += [{LATENCY: share, "memory": 1 - share} for share in (0.8, 0.5, 0.2)]
    bounds = (wanted.max_memory_bytes, wanted.max_energy_joules, wanted.max_accuracy_drop)
    return [(" ".join(["", *(f"{k}×{v:.1g}" for k, v in mix.items())]), Objective(mix, *bounds)) for mix in mixtures]
