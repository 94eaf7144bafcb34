"""Simulated annealing (Kirkpatrick, Gelatt and Vecchi, 1983): one layer is changed at a time; what is worse is kept
with a probability that falls with the temperature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thew.search.agents.agent import Agent
from thew.search.game import Assignment, Table


@dataclass
class Annealing(Agent):
    """Simulated annealing.

    Attributes:
        start: temperature at first, as a share of the first assignment's value.
        end: temperature at last.
    """

    start: float = 0.1
    end: float = 1e-4

    name = "annealing"
    summary = "simulated annealing, one layer changed at a time"

    def begin(self, table: Table, episodes: int, seed: int) -> None:
        """Starts from a random assignment."""
        super().begin(table, episodes, seed)
        self._current: Assignment = ()
        self._value = self._first = np.inf

    def ask(self) -> Assignment:
        """A neighbour of the current assignment."""
        if not self._current:
            return self.random_assignment()
        wanted = list(self._current)
        layer = int(self.random.integers(len(wanted)))
        wanted[layer] = int(self.random.integers(self.table.options(layer)))
        return self.repaired(tuple(wanted))

    def tell(self, chosen: Assignment, value: float) -> None:
        """Keeps it where it is better, or by chance."""
        if np.isfinite(value) and not np.isfinite(self._first):
            self._first = value
        share = self.episode / max(self.episodes - 1, 1)
        temperature = self._first * self.start * (self.end / self.start) ** share
        worse = value - self._value
        if not self._current or worse <= 0 or (worse < np.inf and self.random.random() < np.exp(-worse / temperature)):
            self._current, self._value = chosen, value
        super().tell(chosen, value)
