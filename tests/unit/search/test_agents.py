"""Agents: the contract that comes with them, optima known by enumeration, and what learning ones must be better at."""

import sys
from itertools import product
from math import inf

import numpy as np
import pytest

from thew.errors import InputError, UnsupportedError
from thew.plan.solve import Problem
from thew.search.agents import AGENTS, make_agent, play
from thew.search.agents.contract import all_costs as everything
from thew.search.agents.contract import check_agent
from thew.search.agents.contract import small_table as small
from thew.search.agents.milp import solve_milp
from thew.search.agents.q_learning import epsilon_of
from thew.search.features import width
from thew.search.game import Risk, Table

EXTRAS = {"bayesian": "optuna", "milp": "scipy"}


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


@pytest.mark.parametrize("name", AGENTS)
def test_agents_keep_the_contract(name):
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    check_agent(lambda: make_agent(name))


@pytest.mark.parametrize("seed", range(8))
def test_integer_program_agrees_with_elimination(seed):
    pytest.importorskip("scipy")
    table = small(seed)
    assert table.total(tuple(solve_milp(table.problem)[:5])) == pytest.approx(min(everything(table).values()), rel=1e-9)
    # Where every variable has three neighbours and more, elimination is no longer sure to be exact; the program is.
    random = np.random.default_rng(seed)
    dense = Problem()
    for _ in range(6):
        dense.variable(random.uniform(0, 1, 3).tolist())
    for u in range(6):
        for v in range(u):
            dense.edge(v, u, random.uniform(0, 1, (3, 3)).tolist())
    least = min(dense.cost_of(chosen) for chosen in product(range(3), repeat=6))
    assert dense.cost_of(solve_milp(dense)) == pytest.approx(least, rel=1e-9)


def test_integer_program_says_that_nothing_is_allowed():
    pytest.importorskip("scipy")
    problem = Problem()
    problem.variable([inf])
    with pytest.raises(UnsupportedError):
        solve_milp(problem)


def test_extras_are_named_where_they_are_missing(monkeypatch):
    for name, module in EXTRAS.items():
        monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.setitem(sys.modules, f"{module}.optimize", None)
        with pytest.raises(UnsupportedError, match=r"thew\[search\]"):
            make_agent(name).begin(small(0), 3, 0)


def test_cautious_closes_the_most_sensitive_layers_until_bounds_hold():
    table = small(2)
    table.risk = Risk(((False, True, True),) * 5, lambda: [3.0, 1.0, 5.0, 2.0, 4.0])
    asked = []

    def extra(chosen):  # the two most sensitive layers must be in full precision
        asked.append(chosen)
        return 0.0 if chosen[2] == chosen[4] == 0 else inf

    table.extra = extra
    allowed = {c: cost for c, cost in everything(table).items() if c[2] == c[4] == 0}
    found = play(make_agent("cautious"), table, 12)
    assert found.value == pytest.approx(min(allowed.values())) and len(set(asked)) <= 4
    table.extra = lambda chosen: inf
    assert play(make_agent("cautious"), table, 12).value == inf
    table.risk = Risk()
    table.extra = lambda chosen: 0.0
    assert play(make_agent("cautious"), table, 3).best == table.optimum()


def described(seed: int, layers: int = 24) -> Table:
    """A chain whose options' costs follow from their features: what holds for one table holds for all."""
    random = np.random.default_rng(seed)
    problem, features = Problem(), []
    for layer in range(layers):
        rows = np.zeros((5, width()), np.float32)
        rows[:, 0] = random.uniform(0, 1)  # the layer's size
        rows[:, 1] = random.permutation(np.linspace(0, 1, 5))  # how well the option suits it
        problem.variable(((0.5 + rows[:, 0]) * (1 + 2 * rows[:, 1])).tolist())
        if layer:
            problem.edge(layer - 1, layer, (0.5 * (rows[:, 2:3] != rows[:, 2:3].T)).tolist())
        features.append(rows)
    names = tuple(f"{seed} {layer}" for layer in range(layers))
    return Table(names, ((("way"),) * 5,) * layers, problem, tuple(features))


def test_deep_q_takes_what_it_learnt_to_another_table(tmp_path):
    first, second = described(0), described(1)
    teacher = make_agent("deep-q")
    assert play(teacher, first, 150).value < play(make_agent("random"), first, 150).value
    teacher.save(tmp_path / "weights.safetensors")
    optimum = second.total(second.optimum())
    pupil = make_agent("deep-q", weights=tmp_path / "weights.safetensors", exploration=0.0)
    taught, alone = (play(agent, second, 10).value / optimum - 1 for agent in (pupil, make_agent("deep-q")))
    assert taught < 0.1 and taught < alone / 2
    (tmp_path / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="weights"):
        pupil.begin(second, 5, 0)


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


def test_q_learning_sees_where_residuals_come_from():
    random, problem, count, options = np.random.default_rng(0), Problem(), 30, 6
    words = [random.permutation(np.arange(options) % 3) for _ in range(count)]  # the layout that each option leaves
    for layer in range(count):
        problem.variable(random.uniform(0.5, 2, options).tolist())
        for before in (layer - 1, layer - 3) if layer % 3 == 0 and layer else (layer - 1,) if layer else ():
            problem.edge(before, layer, (3.0 * (words[before][:, None] != words[layer])).tolist())
    table = Table(tuple(map(str, range(count))), (("a",) * options,) * count, problem)
    optimum = table.total(table.optimum())
    assert play(make_agent("q-learning"), table, 300).value / optimum - 1 < 0.02
    assert len({table.state(3, chosen) for chosen in product(range(options), repeat=3)}) == 9  # two layers, three words


def test_epsilon_is_one_for_half_and_then_falls():
    seen = [epsilon_of(episode, 100, 0.5) for episode in range(100)]
    assert seen[:50] == [1.0] * 50 and seen[50] == pytest.approx(0.9) and seen[99] == pytest.approx(0.0)
    assert (np.diff(seen) <= 0).all()


@pytest.mark.parametrize(
    ("name", "settings"), [("nobody", {}), ("q-learning", {"learning_rate": 2.0}), ("q-learning", {"speed": 1})]
)
def test_bad_agents_are_refused(name, settings):
    with pytest.raises(InputError):
        make_agent(name, **settings)
