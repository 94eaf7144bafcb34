"""The least sum within an accuracy: the optimum, with the most sensitive layers closed to what loses accuracy.

How many of them is found by doubling and then by bisection: with more of them closed, accuracy is taken to be kept
rather. Where the optimum keeps it, that is the answer; where nothing can lose accuracy, too.
"""

from __future__ import annotations

import numpy as np

from thew.search.agents.agent import Agent
from thew.search.game import Assignment, Table


class Cautious(Agent):
    """The optimum of the sum with some layers in full precision."""

    name = "cautious"
    summary = "the optimum of the additive costs with the most sensitive layers in full precision"
    learns = False

    def begin(self, table: Table, episodes: int, seed: int) -> None:
        """Starts with nothing closed."""
        super().begin(table, episodes, seed)
        self._order: list[int] | None = None  # layers, the most sensitive first; asked for when it matters
        self._count, self._too_few, self._enough = 0, -1, -1
        self._known: dict[int, Assignment] = {}  # by how many are closed

    def ask(self) -> Assignment:
        """The optimum with so many layers closed."""
        if self._count and self._order is None:
            self._order = [
                int(layer) for layer in np.argsort(-np.asarray(self.table.risk.sensitivity()), kind="stable")
            ]
        if self._count not in self._known:
            self._known[self._count] = self.table.optimum((self._order or [])[: self._count])
        return self._known[self._count]

    def tell(self, chosen: Assignment, value: float) -> None:
        """Closes more layers where accuracy or another bound is broken, fewer where all are kept."""
        super().tell(chosen, value)
        if np.isfinite(value):
            self._enough = self._count
        else:
            self._too_few = self._count
        if self._enough < 0:
            self._count = min(max(1, 2 * self._count), len(self.table)) if self.table.risk.lossy else 0
        elif self._enough - self._too_few > 1:
            self._count = (self._enough + self._too_few) // 2
        else:
            self._count = self._enough
