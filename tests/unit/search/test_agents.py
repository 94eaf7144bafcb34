"""The contract of agents: what every method of search must do, on tables whose optimum is known by enumeration."""

from itertools import product
from math import inf

import numpy as np
import pytest

from thew.errors import InputError
from thew.plan.solve import Problem
from thew.search.agents import AGENTS, make_agent, play
from thew.search.game import Table

NAMES = [name for name in AGENTS if name != "bayesian"]  # Optuna is an extra


def small(seed: int, layers: int = 5, options: int = 3) -> Table:
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


def whole_cost(table: Table, chosen: tuple[int, ...]) -> float:
    """The sum from the problem's definition, the consequence at its best."""
    return min(table.problem.cost_of([*chosen, state]) for state in range(2))


def everything(table: Table) -> dict[tuple[int, ...], float]:
    return {c: whole_cost(table, c) for c in product(*(range(table.options(v)) for v in range(len(table))))}


@pytest.mark.parametrize("seed", range(5))
def test_totals_are_those_of_the_problem(seed):
    table = small(seed)
    for chosen, cost in everything(table).items():
        if cost < inf:
            assert table.total(chosen) == pytest.approx(cost, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_exact_is_the_optimum(seed):
    table = small(seed)
    assert play(make_agent("exact"), table, 1).value == pytest.approx(min(everything(table).values()), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_assignments_are_legal_and_counted(name):
    table = small(7)
    found = play(make_agent(name), table, 40, seed=3)
    assert len(found.values) == 40 and all(np.isfinite(found.values))
    assert found.value == min(found.values) == pytest.approx(whole_cost(table, found.best))
    assert (np.diff(found.curve) <= 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_search(name):
    one, two = (play(make_agent(name), small(1), 30, seed=5) for _ in range(2))
    assert one.values == two.values and one.best == two.best


@pytest.mark.parametrize("name", ["q-learning", "annealing", "evolution"])
def test_learning_finds_the_optimum_of_a_small_table(name):
    for seed in range(3):
        table = small(seed)
        assert play(make_agent(name), table, 400, seed).value == pytest.approx(min(everything(table).values()))


@pytest.mark.parametrize("name", ["q-learning", "annealing", "evolution"])
def test_what_is_not_in_the_sum_counts(name):
    """A bound that forbids the optimum of the sum: agents find the best of the rest."""
    table = small(2)
    costs = everything(table)
    best = min(costs, key=costs.__getitem__)
    table.extra = lambda chosen: inf if chosen[0] == best[0] else 0.0
    wanted = min(cost for chosen, cost in costs.items() if chosen[0] != best[0])
    assert play(make_agent(name), table, 600, seed=0).value == pytest.approx(wanted)


def test_q_learning_beats_chance_on_a_long_chain():
    random = np.random.default_rng(0)
    problem = Problem()
    for layer in range(40):
        problem.variable((random.lognormal(0, 1) * random.uniform(0.3, 2, 6)).tolist())
        if layer:
            problem.edge(layer - 1, layer, random.choice([0.0, 0.5], (6, 6)).tolist())
    table = Table(tuple(map(str, range(40))), (("a",) * 6,) * 40, problem)
    optimum = table.total(table.optimum())
    learnt, chance = (play(make_agent(name), table, 400).value / optimum - 1 for name in ("q-learning", "random"))
    assert learnt < 0.05 < chance


def test_epsilon_is_one_for_half_and_then_falls():
    agent = make_agent("q-learning")
    agent.begin(small(0), 100, 0)
    seen = []
    for agent.episode in range(100):
        seen.append(agent.epsilon)
    assert seen[:50] == [1.0] * 50 and seen[50] == pytest.approx(0.9) and seen[99] == pytest.approx(0.0)
    assert (np.diff(seen) <= 0).all()


@pytest.mark.parametrize(
    ("name", "settings"), [("nobody", {}), ("q-learning", {"learning_rate": 2.0}), ("q-learning", {"speed": 1})]
)
def test_bad_agents_are_refused(name, settings):
    with pytest.raises(InputError):
        make_agent(name, **settings)
