"""The exact optimum of the sum on any graph, as an integer linear program solved by SciPy's HiGHS (extra `search`).

One variable for each option of a variable, 0 or 1, and one for each pair of neighbours' options, which the marginals
force to be their product; forbidden options and pairs are fixed at 0 (the local polytope of Schlesinger 1976, made
integral by the program).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import isfinite

import numpy as np

from thew.errors import UnsupportedError
from thew.plan.solve import Problem
from thew.search.agents.baselines import Fixed
from thew.search.game import Assignment


class Milp(Fixed):
    """Integer linear programming."""

    name = "milp"
    summary = "the optimum of the additive costs by an integer linear program (SciPy)"

    def assignments(self) -> Iterator[Assignment]:
        """The optimum. Raises UnsupportedError where SciPy is not installed, or there is none."""
        yield tuple(solve_milp(self.table.problem)[: len(self.table)])


def solve_milp(problem: Problem) -> list[int]:
    """An option for every variable such that the problem's cost is least.

    Raises:
        UnsupportedError: SciPy is not installed, or nothing is allowed.
    """
    try:
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import coo_matrix
    except ImportError as error:
        raise UnsupportedError(
            "agent 'milp': needs SciPy, which is not installed; pip install 'thew[search]'"
        ) from error
    starts = np.cumsum([0, *map(len, problem.costs)])
    costs: list[float] = [cost for options in problem.costs for cost in options]
    rows: list[tuple[int, int, float]] = []  # row, column, coefficient
    right: list[float] = []
    for start, options in zip(starts, problem.costs, strict=False):
        rows += [(len(right), int(start) + option, 1.0) for option in range(len(options))]
        right.append(1.0)
    for u, around in enumerate(problem.edges):
        for v, matrix in around.items():
            if u < v:
                _add_pairs(costs, rows, right, (int(starts[u]), int(starts[v])), np.asarray(matrix))
    values = np.array(costs)
    open_ = np.isfinite(values)
    scale = float(np.abs(values[open_]).max(initial=0.0)) or 1.0  # the solver's tolerances are absolute
    row, column, coefficient = zip(*rows, strict=True)
    equal = coo_matrix((coefficient, (row, column)), shape=(len(right), len(values)))
    found = milp(
        np.where(open_, values / scale, 0.0),
        integrality=(np.arange(len(values)) < starts[-1]).astype(int),
        bounds=Bounds(0, open_.astype(float)),
        constraints=LinearConstraint(equal.tocsc(), right, right),
        options={"mip_rel_gap": 0.0},
    )
    if found.x is None:
        raise UnsupportedError(f"agent 'milp': some assignment must be allowed, got none ({found.message})")
    return [int(np.argmax(found.x[a:b])) for a, b in pairwise(starts)]


def _add_pairs(
    costs: list[float],
    rows: list[tuple[int, int, float]],
    right: list[float],
    starts: tuple[int, int],
    matrix: np.ndarray,
) -> None:
    """Variables for the pairs of two neighbours' options, whose sums along either are the other's options."""
    first = len(costs)
    costs += [float(cost) if isfinite(cost) else np.inf for cost in matrix.reshape(-1)]
    places = first + np.arange(matrix.size).reshape(matrix.shape)
    for start, along in ((starts[0], places), (starts[1], places.T)):
        for option, pairs in enumerate(along):
            rows += [(len(right), int(pair), 1.0) for pair in pairs]
            rows.append((len(right), start + option, -1.0))
            right.append(0.0)
