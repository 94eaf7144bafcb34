"""Which node computes in which type: such that all nodes, and the casts between them, take least time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from thew.ir import Graph
from thew.plan.choices import key_of
from thew.plan.solve import Problem, solve

CastSeconds = Callable[[str, str, str], float]  # of a value, from a type, to a type


def cheapest_dtypes(
    graph: Graph, wide: str, ways: Mapping[str, Mapping[str, float]], cast_seconds: CastSeconds
) -> dict[str, str]:
    """The type of each node that has a choice, by its first output.

    Args:
        graph: all its types static.
        wide: what floats are where nothing is chosen.
        ways: seconds of a node by type, the first preferred where several take the same; of the others nothing counts.
        cast_seconds: of a value that is read in another type than it has; graph inputs are wide.
    """
    problem = Problem()
    variables: dict[str, int] = {}
    options = {key_of(node): ways.get(key_of(node), {wide: 0.0}) for node in graph.nodes}
    for key, seconds in options.items():
        variables[key] = problem.variable(list(seconds.values()))
    for node in graph.nodes:
        key = key_of(node)
        for name in dict.fromkeys(filter(None, node.inputs)):
            found, maker = graph.type_of(name), graph.producers.get(name)
            if name in graph.constants or found is None or found.dtype != wide:
                continue
            made = [wide] if maker is None else list(options[key_of(maker)])
            matrix = [[0.0 if a == b else cast_seconds(name, a, b) for b in options[key]] for a in made]
            if maker is None:
                costs = problem.costs[variables[key]]
                problem.costs[variables[key]] = [a + b for a, b in zip(costs, matrix[0], strict=True)]
            else:
                problem.edge(variables[key_of(maker)], variables[key], matrix)
    chosen = solve(problem)
    return {key: list(options[key])[chosen[variables[key]]] for key in options if key in ways}
