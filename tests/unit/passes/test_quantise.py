"""Sites of a float graph and its QDQ form: what integers and floats make of it, and that all of it runs on integers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from thew.ir import Graph, GraphBuilder, verify
from thew.ops.interpret import evaluate
from thew.passes import pipeline
from thew.passes.quantisable import layers, prepare, sites
from thew.passes.quantise import Encoding, Weights, quantise


def residual() -> Graph:
    """A block with a residual, pools, a concatenation and a head."""
    random = np.random.default_rng(0)
    builder = GraphBuilder("residual")

    def constant(*shape: int) -> str:
        return builder.constant((random.standard_normal(shape) / 2).astype(np.float32))

    x = builder.input("x", "fp32", ("n", 2, 6, 6))
    y = builder.node("conv", [x, constant(4, 2, 3, 3), constant(4)], pads=(1, 1, 1, 1))
    r = builder.node("relu", [y])
    s = builder.node("relu", [builder.node("add", [builder.node("conv", [r, constant(4, 4, 1, 1)]), r])])
    p = builder.node("max_pool", [s], kernel_shape=(2, 2), strides=(2, 2))
    joined = builder.node("concat", [p, builder.node("average_pool", [s], kernel_shape=(2, 2), strides=(2, 2))], axis=1)
    g = builder.node("global_average_pool", [builder.node("conv", [joined, constant(4, 8, 1, 1)])])
    head = builder.node("gemm", [builder.node("flatten", [g]), constant(4, 5), constant(5)])
    return builder.graph([head])


def quantised(graph: Graph, kept: tuple[str, ...] = ()) -> Graph:
    """The graph with one encoding for all values, and weights in steps of 1/100."""
    chosen = sites(graph, kept)
    activation = Encoding(np.float32(0.05), np.uint8(100))
    encodings = dict.fromkeys(chosen.values, Encoding(np.asarray(activation.scale), np.asarray(activation.zero)))
    weights = {}
    for key, layer in chosen.layers.items():
        if layer.weight:
            channels = graph.constants[layer.weight].shape[layer.axis]
            encoding = Encoding(np.full(channels, 0.02, np.float32), np.zeros(channels, np.int8))
            weights[key] = Weights(encoding.integers(graph.constants[layer.weight], layer.axis), encoding)
    return quantise(graph, chosen, encodings, weights)


def test_everything_that_can_runs_on_integers() -> None:
    graph = quantised(prepare(residual()))
    verify(graph)
    ops = Counter(node.op for node in pipeline.run(graph, pipeline.LOAD).nodes)
    assert ops["qlinear_conv"] == 3 and ops["qlinear_add"] == 1 and ops["qlinear_matmul"] == 1
    assert not {"conv", "add", "gemm", "matmul", "relu"} & set(ops)


def test_is_close_to_the_floats() -> None:
    before = residual()
    after = quantised(prepare(before))
    x = np.random.default_rng(1).standard_normal((3, 2, 6, 6)).astype(np.float32)
    expected, got = (next(iter(evaluate(graph, {"x": x}).values())) for graph in (before, after))
    # Four layers in a chain: half a step of a weight is 0.01, of an activation 0.025; rows have 18 weights.
    assert 0 < np.abs(got - expected).mean() < 4 * (18**0.5 * 0.01 + 0.025)


def test_kept_layers_stay_float() -> None:
    graph = prepare(residual())
    key = next(key for key, layer in layers(graph).items() if layer.node.op == "gemm")
    chosen = sites(graph, (key,))
    assert key not in chosen.layers and key not in chosen.values
    assert [node.op for node in quantised(graph, (key,)).nodes].count("gemm") == 1
    assert sites(graph, tuple(layers(graph))).values == ()


def test_a_sum_of_what_is_not_quantised_stays() -> None:
    graph = prepare(residual())
    products = [key for key, layer in layers(graph).items() if layer.weight]
    assert sites(graph, products).layers == {}


def test_moves_are_tied_and_concats_are_named() -> None:
    found = sites(prepare(residual()))
    assert [len(group) for group in found.ties] == [2] and found.concats == ()  # an average pool is no move


@pytest.mark.parametrize(("scale", "zero"), [(0.1, 128), (np.array([0.1, 0.2]), np.array([0, 255]))])
def test_encoding_by_definition(scale: Any, zero: Any) -> None:
    encoding = Encoding(np.asarray(scale, np.float32), np.asarray(zero, np.uint8))
    x = np.random.default_rng(0).uniform(-40, 40, (3, 2, 4)).astype(np.float32)
    wide = [np.asarray(array, np.float64).reshape(-1, 1) if np.ndim(array) else array for array in (scale, zero)]
    steps = np.asarray(np.float32(wide[0]), np.float64)
    expected = np.clip(np.rint(x / steps) + wide[1], 0, 255)
    np.testing.assert_array_equal(encoding.integers(x, 1), expected)
    np.testing.assert_allclose(encoding.rounded(x, 1), (expected - wide[1]) * steps, rtol=1e-6, atol=1e-6)


def test_products_with_biases_become_gemm() -> None:
    builder = GraphBuilder("dense")
    random = np.random.default_rng(0)
    x = builder.input("x", "fp32", ("n", 3, 2))
    flat = builder.node("flatten", [x])
    product = builder.node("matmul", [flat, builder.constant(random.standard_normal((6, 4)).astype(np.float32))])
    bias = builder.constant(random.standard_normal(4).astype(np.float32))
    graph = prepare(builder.graph([builder.node("add", [product, bias])]))
    assert [node.op for node in graph.nodes] == ["flatten", "gemm"] and len(layers(graph)) == 1
