"""Random graphs quantised and pruned: every one stays a graph that computes nearly, or exactly, the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from test_random_graphs import STANDARD, graphs

import thew
from thew.compress import Calibrator
from thew.compress.calibration import POLICIES
from thew.ir import Graph, TensorType, Value, verify
from thew.ops.interpret import evaluate
from thew.passes.channel_rules import find_channels
from thew.passes.channels import TAKES
from thew.passes.prune_channels import prune_channels
from thew.passes.quantisable import prepare


def single(drawn: tuple[Graph, dict[str, Any]]) -> tuple[Graph, dict[str, Any]]:
    """What was drawn in fp64, in fp32."""
    graph, inputs = drawn
    constants = {
        name: array.astype(np.float32) if array.dtype == np.float64 else array
        for name, array in graph.constants.items()
    }
    nodes = [node.with_attributes(to="fp32") if node.attributes.get("to") == "fp64" else node for node in graph.nodes]
    values = tuple(Value(value.name, TensorType("fp32", value.type.shape)) for value in graph.inputs)
    found = graph.replace(inputs=values, constants=constants, nodes=tuple(nodes), types={})
    return found, {name: array.astype(np.float32) for name, array in inputs.items()}


def with_silence(graph: Graph, gone: Any) -> Graph:
    """The graph with the weights that take some channels multiplied by 0."""
    constants = dict(graph.constants)
    for use in find_channels(graph).uses:
        if use.role == TAKES:
            shape = [-1 if axis == use.axis else 1 for axis in range(constants[use.constant].ndim)]
            stays = (~np.isin(use.atoms, gone)).reshape(shape).astype(constants[use.constant].dtype)
            constants[use.constant] = constants[use.constant] * stays
    return graph.replace(constants=constants)


@STANDARD
@given(graphs().map(single))
def test_pruned_graphs_are_those_with_silent_channels(drawn: tuple[Graph, dict[str, Any]]) -> None:
    graph, inputs = prepare(drawn[0]), drawn[1]
    channels = find_channels(graph)
    gone = np.concatenate([roots[: len(roots) // 2] for roots in channels.families.values()] or [np.zeros(0, np.int64)])
    smaller = prune_channels(graph, channels, gone.tolist())
    verify(smaller)
    with np.errstate(all="ignore"):
        expected, got = (evaluate(one, inputs) for one in (with_silence(graph, gone), smaller))
    for name, array in expected.items():
        assert got[name].shape == array.shape
        if np.isfinite(array).all():
            scale = max(float(np.abs(array).max(initial=0)), 1.0)
            np.testing.assert_allclose(got[name], array, rtol=0, atol=1e-3 * scale)


@STANDARD
@given(graphs().map(single))
def test_quantised_graphs_run_and_keep_shapes(drawn: tuple[Graph, dict[str, Any]]) -> None:
    graph, inputs = drawn
    calibrator = Calibrator(graph, inputs)
    session = thew.InferenceSession(graph, threads=1)
    expected = session.run(None, inputs)
    for calibration in list(POLICIES)[:2]:
        quantized = calibrator.quantize((), thew.compress.Method(calibration))
        verify(quantized.graph)
        got = thew.InferenceSession(quantized.graph, threads=1).run(None, inputs)
        assert [array.shape for array in got] == [array.shape for array in expected]
