"""Ways to run a layer, and the networks that benchmarks have beside the zoo."""

from __future__ import annotations

import numpy as np
import pytest

import thew
from thew.bench.networks import NETWORKS
from thew.bench.ways import LAYERS, time_ways
from thew.cli import models
from thew.compress.masks import masked
from thew.errors import ModelError
from thew.ir import GraphBuilder
from thew.passes.quantisable import layers
from thew.runtime.device import target


def test_ways_are_told_beside_the_first() -> None:
    b = GraphBuilder("dense")
    weight = b.constant(np.random.default_rng(0).standard_normal((128, 96)).astype(np.float32), "w")
    graph = b.graph([b.node("matmul", [b.input("x", "fp32", (1, 128)), weight])])
    sparse, _ = masked(graph, layers(graph), "block", 0.75)
    ways = time_ways("blocks", sparse, target(1), 2)
    assert {"gemv.blocks", "matmul.packed"} <= {way.algorithm for way in ways}
    assert ways[0].ratio == 1
    assert [way.estimate for way in ways] == sorted(way.estimate for way in ways)
    assert all(way.seconds > 0 and way.layer == "blocks" and way.algorithm.split(".")[0] in way.kernel for way in ways)


def test_layers_are_of_one_node() -> None:
    for kind in ("groups", "few_outputs"):
        assert all(len(graph.nodes) == 1 for _, graph in LAYERS[kind]())
    name, graph = next(LAYERS["weights"]())
    assert name == "int8 weights, 1×1024×1024"
    assert graph.nodes[0].op == "scaled_matmul"


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("fsrcnn", (1, 1, 360, 480)),
        ("volumes", (1, 32, 8, 56, 56)),
        ("regnet_400mf", (1, 1000)),
        ("efficientnet_b0", (1, 1000)),
    ],
)
def test_networks_run(name: str, shape: tuple[int, ...]) -> None:
    graph = models.load(f"bench:{name}", seed=0, batch=1)
    x = np.random.default_rng(0).standard_normal((1, *NETWORKS[name].shape)).astype(np.float32)
    (y,) = thew.InferenceSession(graph).run(None, {"input": x})
    assert y.shape == shape
    assert np.isfinite(y).all()
    assert y.std() > 0


def test_unknown_networks_are_refused() -> None:
    with pytest.raises(ModelError, match="fsrcnn"):
        models.load("bench:nonsense")
