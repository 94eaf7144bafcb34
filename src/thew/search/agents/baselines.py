"""What learning agents are judged by: chance, the best of each layer by itself, one library for all, and the exact
optimum of the sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat

import numpy as np

from thew.search.agents.agent import Agent
from thew.search.game import Assignment, Table


class Random(Agent):
    """Independent random choices."""

    name = "random"
    summary = "every layer's option by chance"

    def ask(self) -> Assignment:
        """A random assignment."""
        return self.random_assignment()


class Fixed(Agent):
    """Knows its assignments from the start; asked for more, it gives the last again."""

    learns = False

    def begin(self, table: Table, episodes: int, seed: int) -> None:
        """Finds the assignments."""
        super().begin(table, episodes, seed)
        known = list(self.assignments())
        self._next = chain(known, repeat(known[-1]))

    def assignments(self) -> Iterator[Assignment]:
        """At least one."""
        raise NotImplementedError

    def ask(self) -> Assignment:
        """The next of them."""
        return next(self._next)


class Greedy(Fixed):
    """The option of each layer that is cheapest after those before it."""

    name = "greedy"
    summary = "layer by layer what is cheapest at that moment"

    def assignments(self) -> Iterator[Assignment]:
        """The greedy one."""
        yield greedy(self.table)


def greedy(table: Table) -> Assignment:
    """Layer by layer what is cheapest after those before it."""
    chosen: list[int] = []
    for layer in range(len(table)):
        chosen.append(int(table.costs(layer, chosen).argmin()))
    return tuple(chosen)


class SingleLibrary(Fixed):
    """One algorithm wherever it can run, the cheapest of the others elsewhere; every algorithm in turn."""

    name = "single-library"
    summary = "one algorithm wherever it can run"

    def assignments(self) -> Iterator[Assignment]:
        """One for each algorithm."""
        for label in dict.fromkeys(chain.from_iterable(self.table.labels)):
            chosen: list[int] = []
            for layer, labels in enumerate(self.table.labels):
                costs = self.table.costs(layer, chosen)
                same = [i for i, one in enumerate(labels) if one == label and np.isfinite(costs[i])]
                chosen.append(min(same, key=costs.__getitem__) if same else int(costs.argmin()))
            yield tuple(chosen)


class Exact(Fixed):
    """The least sum, by elimination of variables; blind for what is not in the sum."""

    name = "exact"
    summary = "the optimum of the additive costs"

    def assignments(self) -> Iterator[Assignment]:
        """The optimum."""
        yield self.table.optimum()
