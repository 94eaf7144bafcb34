"""What every agent must do, as checks that a test calls: those that come with Thew, and anyone's own.

    from thew.search.agents.contract import check_agent
    check_agent(lambda: MyAgent())

The tables are small, so that their optimum is known by enumeration.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import inf, isclose, isfinite

import numpy as np

from thew.errors import InputError
from thew.plan.solve import Problem
from thew.search.agents.agent import Agent, play
from thew.search.game import Assignment, Table

_EPISODES = 40


def small_table(seed: int, layers: int = 5, options: int = 3) -> Table:
    """A chain with conversions, a skip over two layers, a forbidden pair, and a consequence of two layers."""
    random = np.random.default_rng(seed)
    problem = Problem()
    for _ in range(layers):
        problem.variable(random.uniform(0.5, 2, options).tolist())
    for layer in range(1, layers):
        problem.edge(layer - 1, layer, random.choice([0.0, 1.0], (options, options)).tolist())
    problem.edge(0, 3, random.uniform(0, 1, (options, options)).tolist())
    problem.edge(1, 2, [[inf if (i, j) == (0, 0) else 0.0 for j in range(options)] for i in range(options)])
    shared = problem.variable([0.0, 0.3])
    for layer in (2, 4):
        problem.edge(layer, shared, random.uniform(0, 0.5, (options, 2)).tolist())
    labels = tuple(tuple(f"way{i}" for i in range(options)) for _ in range(layers))
    return Table(tuple(f"layer{i}" for i in range(layers)), labels, problem)


def all_costs(table: Table) -> dict[Assignment, float]:
    """The sum of every assignment of a small table, by the problem's definition: consequences at their best."""
    own = len(table)
    beyond = [range(len(costs)) for costs in table.problem.costs[own:]]
    return {
        chosen: min(table.problem.cost_of([*chosen, *states]) for states in product(*beyond))
        for chosen in product(*(range(table.options(layer)) for layer in range(own)))
    }


def check_agent(make: Callable[[], Agent]) -> None:
    """Holds an agent to the contract. Raises AssertionError with what it broke."""
    table = small_table(7)
    costs = all_costs(table)
    found = play(make(), table, _EPISODES, seed=3)
    assert len(found.values) == _EPISODES, "an episode must ask once and be told once"
    assert all(map(isfinite, found.values)), "assignments must be allowed by the table"
    assert isclose(found.value, min(found.values)), "the best value must be that of the best episode"
    assert isclose(found.value, costs[found.best], rel_tol=1e-9), "the best assignment must have the best value"
    assert found.value >= min(costs.values()) * (1 - 1e-9), "nothing is below the optimum"
    again = play(make(), small_table(7), _EPISODES, seed=3)
    assert again.values == found.values and again.best == found.best, "the same seed must give the same search"
    one = play(make(), small_table(2), 1)
    assert len(one.values) == 1, "one episode must be enough"
    bounded = small_table(2)
    bounded.extra = lambda chosen: inf if chosen[0] == 0 else 0.0
    for value in play(make(), bounded, _EPISODES).values:
        assert value > 0, "broken constraints are infinite, never less"
    lone = Problem()
    lone.variable([2.0, 1.0])
    assert play(make(), Table(("only",), (("a", "b"),), lone), 20).value == 1.0, "a table of one layer must be solved"
    try:
        make().begin(table, 0, 0)
    except InputError:
        return
    raise AssertionError("no episodes must be refused with an InputError")
