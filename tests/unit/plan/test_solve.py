"""The solver against every assignment: exact where reductions suffice, legal and near it elsewhere."""

from itertools import product
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from thew.plan.solve import Problem, solve

COSTS = st.integers(0, 20).map(float)


def matrix(draw, rows, columns, forbid=False):
    cost = st.one_of(COSTS, st.just(inf)) if forbid else COSTS
    return [[draw(cost) for _ in range(columns)] for _ in range(rows)]


def least(problem):
    return min(problem.cost_of(chosen) for chosen in product(*(range(len(costs)) for costs in problem.costs)))


@st.composite
def problems(draw, series_parallel):
    """Random problems; series-parallel ones grow by doubling, splitting and hanging on edges."""
    problem = Problem()
    for _ in range(2):
        problem.variable([draw(COSTS) for _ in range(draw(st.integers(1, 3)))])
    pairs = [(0, 1)]
    for _ in range(draw(st.integers(0, 5))):
        u, v = draw(st.sampled_from(pairs))
        w = problem.variable([draw(COSTS) for _ in range(draw(st.integers(1, 3)))])
        kind = draw(st.sampled_from(["hang", "split", "beside"]))
        if kind == "split":
            pairs.remove((u, v))
        pairs += [(u, w)] if kind == "hang" else [(u, w), (w, v)]
    if not series_parallel:
        pairs += draw(st.lists(st.tuples(*[st.integers(0, len(problem.costs) - 1)] * 2), max_size=8))
    for u, v in pairs:
        if u != v:
            problem.edge(u, v, matrix(draw, len(problem.costs[u]), len(problem.costs[v])))
    return problem


@given(problems(series_parallel=True))
def test_series_parallel_graphs_are_solved_exactly(problem):
    assert problem.cost_of(solve(problem)) == least(problem)


@given(problems(series_parallel=False))
def test_any_graph_ends_where_no_single_change_helps(problem):
    chosen = solve(problem)
    cost = problem.cost_of(chosen)
    assert cost >= least(problem)
    for variable, costs in enumerate(problem.costs):
        for option in range(len(costs)):
            assert problem.cost_of([*chosen[:variable], option, *chosen[variable + 1 :]]) >= cost


@given(st.data())
def test_what_is_forbidden_on_a_chain_is_avoided(data):
    problem = Problem()
    for _ in range(data.draw(st.integers(2, 6))):
        problem.variable([data.draw(COSTS) for _ in range(3)])
    for u in range(len(problem.costs) - 1):
        problem.edge(u, u + 1, matrix(data.draw, 3, 3, forbid=True))
    assert problem.cost_of(solve(problem)) == least(problem)


def test_equal_costs_go_to_the_first_option():
    problem = Problem()
    for _ in range(3):
        problem.variable([1.0, 1.0])
    problem.edge(0, 1, [[0.0, 0.0], [0.0, 0.0]])
    assert solve(problem) == [0, 0, 0]
