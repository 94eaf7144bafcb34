"""What may be chosen layer by layer: what a later layer forbids is closed from the start."""

from itertools import product
from math import inf

import numpy as np
import pytest

from thew.plan.solve import Problem
from thew.search.agents.contract import all_costs, small_table
from thew.search.game import Table, without_dead_ends


def late_refusal():
    """Three layers; the first's second option needs the third's second, which does not run."""
    problem = Problem()
    for costs in ([2.0, 1.0], [1.0, 1.0], [1.0, inf]):
        problem.variable(costs)
    shared = problem.variable([0.0, 0.0])
    problem.edge(0, shared, [[0.0, inf], [inf, 0.0]])
    problem.edge(2, shared, [[0.0, inf], [inf, 0.0]])
    return problem


def test_options_that_no_assignment_has_are_closed_and_the_rest_costs_what_it_did():
    problem = late_refusal()
    closed = without_dead_ends(problem)
    assert closed.costs == [[2.0, inf], [1.0, 1.0], [1.0, inf], [0.0, inf]] and problem.costs[0] == [2.0, 1.0]
    names = ("a", "b", "c")
    table = Table(names, (("0", "1"),) * 3, problem)
    assert np.isinf(table.costs(0, [])[1]) and table.total((0, 0, 0)) == 4.0
    assert table.optimum() in ((0, 0, 0), (0, 1, 0))


def test_what_a_later_consequence_forbids_is_closed_at_once():
    """Two readers of a value that cannot be served both, and a third that settles it."""
    problem = Problem()
    for _ in range(3):
        problem.variable([1.0, 1.0])
    shared = problem.variable([0.0, 0.0])
    for layer in range(3):
        problem.edge(layer, shared, [[0.0, inf], [inf, 0.0]])
    table = Table(("a", "b", "c"), (("0", "1"),) * 3, problem)
    assert table.reads(1) == [0]
    for first in (0, 1):
        np.testing.assert_array_equal(np.isfinite(table.costs(1, [first])), np.arange(2) == first)
        np.testing.assert_array_equal(np.isfinite(table.costs(2, [first, first])), np.arange(2) == first)


def test_a_problem_without_an_answer_stays_one():
    problem = Problem()
    problem.variable([1.0, 2.0])
    problem.variable([1.0])
    problem.edge(0, 1, [[inf], [inf]])
    assert without_dead_ends(problem).costs == problem.costs


@pytest.mark.parametrize("seed", range(3))
def test_from_a_state_on_all_costs_the_same(seed):
    table = small_table(seed)
    table.problem.edges[0][1] = [[0.0] * 3] * 3  # the first layer's options differ to the fourth alone
    table.problem.edges[1][0] = [[0.0] * 3] * 3
    table = Table(table.names, table.labels, table.problem)
    costs, seen = all_costs(table), {}
    for layer in range(len(table)):
        for before in product(range(3), repeat=layer):
            spent = sum(table.costs(v, before)[option] for v, option in enumerate(before))
            if spent < inf:
                rest = [costs[before + after] - spent for after in product(range(3), repeat=len(table) - layer)]
                known = seen.setdefault((layer, table.state(layer, before)), rest)
                np.testing.assert_allclose(rest, known, rtol=1e-9, atol=1e-12)
    assert [len(table.state(layer, (0,) * layer)) for layer in range(5)] == [0, 1, 2, 2, 2]
