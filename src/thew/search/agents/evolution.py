"""Regularised evolution (Real, Aggarwal, Huang and Le, 2019): the best of a random sample has a child, the oldest dies;
children mix two parents layer by layer and mutate.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from thew.search.agents.agent import Agent
from thew.search.game import Assignment, Table


@dataclass
class Evolution(Agent):
    """Regularised evolution.

    Attributes:
        population: alive at a time.
        sample: of which a parent is the best.
        mutations: layers changed in a child, on average.
    """

    population: int = 32
    sample: int = 8
    mutations: float = 1.5

    name = "evolution"
    summary = "regularised evolution with uniform crossover"

    def begin(self, table: Table, episodes: int, seed: int) -> None:
        """Starts with nobody."""
        super().begin(table, episodes, seed)
        self._alive: deque[tuple[float, Assignment]] = deque(maxlen=self.population)

    def ask(self) -> Assignment:
        """A child of two parents; at random until there is a population."""
        if len(self._alive) < min(self.population, max(self.episodes // 4, 2)):
            return self.random_assignment()
        mother, father = self._parent(), self._parent()
        count = len(self.table)
        from_mother = self.random.random(count) < 0.5
        changes = self.random.random(count) < self.mutations / count
        child = [m if own else f for m, f, own in zip(mother, father, from_mother, strict=True)]
        for layer in map(int, changes.nonzero()[0]):
            child[layer] = int(self.random.integers(self.table.options(layer)))
        return self.repaired(tuple(child))

    def _parent(self) -> Assignment:
        chosen = self.random.integers(len(self._alive), size=self.sample)
        return min(self._alive[int(index)] for index in chosen)[1]

    def tell(self, chosen: Assignment, value: float) -> None:
        """The child joins the population."""
        super().tell(chosen, value)
        self._alive.append((value, chosen))
