"""`rewrites`: a pass turns one graph text into another, and both compute the same by the NumPy references."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

import numpy as np
import pytest

from thew.dtypes import FLOATS, to_numpy
from thew.ir import Graph, parse_graph, print_graph, verify
from thew.ops.interpret import evaluate

Rewrites = Callable[[Callable[[Graph], Graph], str, str], Graph]
EXTENT_OF_SYMBOLS = 2


def read(text: str) -> Graph:
    graph = parse_graph(dedent(text))
    verify(graph)
    return graph


def outputs_of(graph: Graph) -> dict[str, np.ndarray]:
    random, inputs = np.random.default_rng(0), {}
    for value in graph.inputs:
        shape = [EXTENT_OF_SYMBOLS if isinstance(extent, str) else extent for extent in value.type.shape or ()]
        inputs[value.name] = random.standard_normal(shape).astype(to_numpy(value.type.dtype))
    return evaluate(graph, inputs)


@pytest.fixture
def rewrites() -> Rewrites:
    def check(rewrite: Callable[[Graph], Graph], before: str, after: str) -> Graph:
        graph = read(before)
        result = rewrite(graph)
        verify(result)
        assert print_graph(result, data=True) == dedent(after).lstrip("\n")
        expected = outputs_of(graph)
        for name, got in outputs_of(result).items():
            kind = "fp64" if got.dtype.kind != "f" else next(n for n in FLOATS if to_numpy(n) == got.dtype)
            # Sums of at most 64 terms of magnitude at most 64, rounded at another place.
            tolerance = 64 * 64 * np.finfo(to_numpy(kind)).eps
            np.testing.assert_allclose(got, expected[name], rtol=0, atol=tolerance)
        return result

    return check


@pytest.fixture
def read_graph() -> Callable[[str], Graph]:
    return read
