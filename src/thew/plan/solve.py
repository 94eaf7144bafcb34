"""Partitioned Boolean quadratic problems: one option for every variable, such that the sum of the options' costs and of
a cost for each pair of neighbours' options is least.

Variables are eliminated one by one, as Scholz and Eckstein, "Register Allocation for Irregular Architectures" (2002):
R0 no neighbour is left; RI one, whose costs take the variable's in; RII two, which become neighbours. All three are
exact, so chains, trees and series-parallel graphs (residual nets, inception modules) are solved exactly. Where every
variable has three neighbours or more, RN fixes the one with the most at the option that is best if its neighbours
follow; what that leaves is improved, one variable at a time, until nothing gets better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from math import inf

Matrix = list[list[float]]
_MOST_SWEEPS = 10


@dataclass
class Problem:
    """Variables 0, 1, … with the costs of their options; `edges[u][v][i][j]` is that of option i of u beside j of v."""

    costs: list[list[float]] = field(default_factory=list)
    edges: list[dict[int, Matrix]] = field(default_factory=list)

    def variable(self, costs: Sequence[float]) -> int:
        """Adds a variable: its index."""
        self.costs.append(list(costs))
        self.edges.append({})
        return len(self.costs) - 1

    def edge(self, u: int, v: int, matrix: Matrix) -> None:
        """Adds to the costs between two variables."""
        old = self.edges[u].get(v)
        if old is not None:
            matrix = [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(old, matrix, strict=True)]
        self.edges[u][v] = matrix
        self.edges[v][u] = [list(column) for column in zip(*matrix, strict=True)]

    def cost_of(self, chosen: Sequence[int]) -> float:
        """The whole cost of one option for each variable."""
        total = sum(costs[option] for costs, option in zip(self.costs, chosen, strict=True))
        return total + sum(
            matrix[chosen[u]][chosen[v]] for u, around in enumerate(self.edges) for v, matrix in around.items() if u < v
        )


def solve(problem: Problem) -> list[int]:
    """An option for every variable: the best where R0 to RII sufficed, near it otherwise. Infinite costs forbid.

    Equal costs go to the option named first.
    """
    left = Problem([list(costs) for costs in problem.costs], [dict(around) for around in problem.edges])
    waiting = set(range(len(problem.costs)))
    order: list[tuple[int, dict[int, Matrix]]] = []  # eliminated variables with the neighbours they then had
    chosen = [0] * len(problem.costs)
    exact = True
    fewest = [(len(around), variable) for variable, around in enumerate(left.edges)]  # may hold what is out of date
    heapify(fewest)
    while waiting:
        neighbours, variable = heappop(fewest)
        if variable not in waiting or neighbours != len(left.edges[variable]):
            continue
        if neighbours > 2:
            heappush(fewest, (neighbours, variable))
            variable = max(waiting, key=lambda v: (len(left.edges[v]), -v))
            _fix(left, variable)
            exact = False
        waiting.remove(variable)
        around = left.edges[variable]
        order.append((variable, around))
        _eliminate(left, variable, around)
        for neighbour in around:
            heappush(fewest, (len(left.edges[neighbour]), neighbour))
    for variable, around in reversed(order):
        totals = list(left.costs[variable])
        for neighbour, matrix in around.items():
            totals = [total + row[chosen[neighbour]] for total, row in zip(totals, matrix, strict=True)]
        chosen[variable] = _least(totals)
    return chosen if exact else _improved(problem, chosen)


def _least(costs: Sequence[float]) -> int:
    return min(range(len(costs)), key=costs.__getitem__)


def _eliminate(left: Problem, variable: int, around: dict[int, Matrix]) -> None:
    """R0, RI or RII; more neighbours than two only follow a variable that `_fix` has left a single option."""
    costs = left.costs[variable]
    for neighbour in around:
        del left.edges[neighbour][variable]
    if len(around) == 2:
        (v, to_v), (w, to_w) = around.items()
        between = [
            [min(c + a[i] + b[j] for c, a, b in zip(costs, to_v, to_w, strict=True)) for j in range(len(left.costs[w]))]
            for i in range(len(left.costs[v]))
        ]
        left.edge(v, w, between)
        return
    for neighbour, matrix in around.items():
        shared = costs if len(around) == 1 else [0.0 if cost < inf else inf for cost in costs]
        added = [min(c + row[j] for c, row in zip(shared, matrix, strict=True)) for j in range(len(matrix[0]))]
        left.costs[neighbour] = [a + b for a, b in zip(left.costs[neighbour], added, strict=True)]


def _fix(left: Problem, variable: int) -> None:
    """RN: leaves only the option that is cheapest if every neighbour then takes its own best."""
    totals = list(left.costs[variable])
    for neighbour, matrix in left.edges[variable].items():
        theirs = left.costs[neighbour]
        totals = [
            t + min(a + b for a, b in zip(row, theirs, strict=True)) for t, row in zip(totals, matrix, strict=True)
        ]
    best = _least(totals)
    left.costs[variable] = [cost if option == best else inf for option, cost in enumerate(left.costs[variable])]


def _improved(problem: Problem, chosen: list[int]) -> list[int]:
    for _ in range(_MOST_SWEEPS):
        before = list(chosen)
        for variable, around in enumerate(problem.edges):
            totals = list(problem.costs[variable])
            for neighbour, matrix in around.items():
                totals = [total + row[chosen[neighbour]] for total, row in zip(totals, matrix, strict=True)]
            best = _least(totals)
            if totals[best] < totals[chosen[variable]]:
                chosen[variable] = best
        if chosen == before:
            break
    return chosen
