"""The game that agents play: one option for every layer, in order, such that a value is least.

What is known layer by layer is additive: the cost of an option beside the options chosen before it. `Table` holds such
costs as a `Problem`; what only a whole assignment tells (peak memory, accuracy) is added to its value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np
from numpy.typing import NDArray

from thew.plan.solve import Problem, solve
from thew.search.features import Features

Costs = NDArray[np.float64]
Assignment = tuple[int, ...]


@dataclass(frozen=True)
class Risk:
    """Which options may lose accuracy, and where that hurts.

    Attributes:
        lossy: for each layer and option; empty where none is.
        sensitivity: how much each layer's lossy options are known to harm; asked for only where it matters.
    """

    lossy: tuple[tuple[bool, ...], ...] = ()
    sensitivity: Callable[[], Sequence[float]] = tuple


@dataclass
class Table:
    """A game whose costs lie in a table.

    Attributes:
        names: of the layers, in order: the first variables of the problem.
        labels: what each option of a layer is.
        problem: costs of options and of pairs of them. Variables beyond the layers are consequences (to which layouts a
            value with several readers is converted): they take what is best as soon as all their neighbours are chosen.
        features: of the options of each layer, (options, width); empty where nothing is known of them.
        risk: of losing accuracy.
        extra: what a complete assignment costs beyond the sum; infinite where a constraint is broken.
    """

    names: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    problem: Problem
    features: tuple[Features, ...] = ()
    risk: Risk = Risk()
    extra: Callable[[Assignment], float] = lambda chosen: 0.0
    _before: list[list[tuple[int, Costs]]] = field(init=False)
    _settled: list[list[int]] = field(init=False)
    _open: list[list[int]] = field(init=False)
    _known: dict[tuple[int, ...], Costs] = field(init=False, default_factory=dict)
    _allowed: dict[tuple[int, ...], list[int]] = field(init=False, default_factory=dict)
    _alive: list[list[int]] = field(init=False)
    _kinds: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.problem = without_dead_ends(self.problem)
        count = len(self.names)
        edges = self.problem.edges
        self._before = [[(u, np.asarray(matrix)) for u, matrix in edges[v].items() if u < v] for v in range(count)]
        self._settled = [[] for _ in range(count)]  # by layer, the consequences that it is the last to settle
        for consequence in range(count, len(edges)):
            assert all(neighbour < count for neighbour in edges[consequence]), "consequences follow layers alone"
            self._settled[max(edges[consequence], default=0)].append(consequence)
        self._open = [[c for c in edges[v] if c >= count and c not in self._settled[v]] for v in range(count)]
        self._reads = [
            sorted(
                {u for u, _ in self._before[v]}
                | {u for c in (*self._settled[v], *self._open[v]) for u in edges[c] if u < v}
            )
            for v in range(count)
        ]
        ends = [max((u if u < count else max(edges[u]) for u in edges[v]), default=0) for v in range(count)]
        self._alive = [[u for u in range(v) if ends[u] >= v] for v in range(count)]
        self._kinds = [self._kinds_of(v) for v in range(count)]

    def _kinds_of(self, layer: int) -> list[int]:
        """For each option the first one that is the same to all that is chosen or settled later."""
        edges, count = self.problem.edges[layer], len(self.names)
        later = [matrix for v, matrix in edges.items() if v > layer and not (v >= count and v in self._settled[layer])]
        rows = [tuple(tuple(matrix[option]) for matrix in later) for option in range(self.options(layer))]
        return [rows.index(row) for row in rows]

    def __len__(self) -> int:
        return len(self.names)

    def options(self, layer: int) -> int:
        """How many options a layer has."""
        return len(self.problem.costs[layer])

    def reads(self, layer: int) -> list[int]:
        """The layers before it that the costs of a layer depend on."""
        return self._reads[layer]

    def state(self, layer: int, chosen: Sequence[int]) -> tuple[int, ...]:
        """All that matters, from a layer on, of what was chosen before it: for every layer that something yet to come
        depends on, the kind of its option, that is in which layout and precision it leaves its value. On a chain this
        is the layer before.
        """
        return tuple([self._kinds[u][chosen[u]] for u in self._alive[layer]])

    @property
    def size(self) -> int:
        """How many assignments there are."""
        total = 1
        for layer in range(len(self)):
            total *= self.options(layer)
        return total

    def costs(self, layer: int, chosen: Sequence[int]) -> Costs:
        """The cost of each option of a layer after those chosen before it; infinite where it cannot follow them."""
        key = (layer, *[chosen[u] for u in self._reads[layer]])
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._costs(layer, chosen)
        return known

    def allowed(self, layer: int, chosen: Sequence[int]) -> list[int]:
        """The options of a layer that can follow those chosen before it."""
        key = (layer, *[chosen[u] for u in self._reads[layer]])
        known = self._allowed.get(key)
        if known is None:
            known = self._allowed[key] = np.isfinite(self.costs(layer, chosen)).nonzero()[0].tolist()
        return known

    def _costs(self, layer: int, chosen: Sequence[int]) -> Costs:
        costs = np.array(self.problem.costs[layer], dtype=np.float64)
        for before, matrix in self._before[layer]:
            costs += matrix[:, chosen[before]]
        for consequence in self._settled[layer]:
            around = self.problem.edges[consequence]
            states = np.array(self.problem.costs[consequence], dtype=np.float64)
            for neighbour, pairs in around.items():
                if neighbour != layer:
                    states += np.asarray(pairs)[:, chosen[neighbour]]
            own = np.asarray(around[layer])
            costs += (states[:, None] + own).min(axis=0)
        for consequence in self._open[layer]:
            costs[~self._leaves_some(consequence, layer, chosen)] = inf
        return costs

    def _leaves_some(self, consequence: int, layer: int, chosen: Sequence[int]) -> NDArray[np.bool_]:
        """For each option of a layer, whether a consequence that later layers settle can still be something."""
        around = self.problem.edges[consequence]
        left = np.isfinite(self.problem.costs[consequence])
        for neighbour, pairs in around.items():
            if neighbour < layer:
                left &= np.isfinite(np.asarray(pairs)[:, chosen[neighbour]])
        found: NDArray[np.bool_] = (left[:, None] & np.isfinite(np.asarray(around[layer]))).any(axis=0)
        return found

    def total(self, chosen: Sequence[int]) -> float:
        """The sum of the layers' costs."""
        return float(sum(self.costs(layer, chosen)[option] for layer, option in enumerate(chosen)))

    def value(self, chosen: Assignment) -> float:
        """What is to be least."""
        return self.total(chosen) + self.extra(chosen)

    def optimum(self, closed: Collection[int] = ()) -> Assignment:
        """The assignment of least sum, with lossy options closed in some layers: exact for graphs that
        `thew.plan.solve` reduces, near it otherwise.
        """
        costs = list(self.problem.costs)
        for layer in closed:
            pairs = list(zip(costs[layer], self.risk.lossy[layer], strict=True))
            if not all(lossy for _, lossy in pairs):
                costs[layer] = [inf if lossy else cost for cost, lossy in pairs]
        return tuple(solve(Problem(costs, self.problem.edges))[: len(self)])


def without_dead_ends(problem: Problem) -> Problem:
    """The problem with infinite costs for the options that no assignment can have, as far as neighbours tell (arc
    consistency; Mackworth 1977): who plays layer by layer does not learn of a consequence too late.
    """
    costs = [np.array(own, dtype=np.float64) for own in problem.costs]
    allowed = [np.isfinite(own) for own in costs]
    pairs = [{v: np.isfinite(np.asarray(matrix)) for v, matrix in around.items()} for around in problem.edges]
    waiting = list(range(len(costs)))
    while waiting:
        v = waiting.pop()
        for u in pairs[v]:
            left = allowed[u] & (pairs[u][v] & allowed[v]).any(axis=1)
            if left.any() and (left != allowed[u]).any():  # of a problem without an answer nothing is taken
                allowed[u] = left
                waiting.append(u)
    return Problem([np.where(ok, own, inf).tolist() for own, ok in zip(costs, allowed, strict=True)], problem.edges)
