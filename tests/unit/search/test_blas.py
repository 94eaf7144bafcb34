"""The network on BLAS against the references of its ops, in fp64 where they sum."""

import sys

import numpy as np
import pytest

from thew import nn
from thew.compress.accuracy import Data
from thew.ir import TensorType
from thew.ops.interpret import evaluate
from thew.search.blas import BlasNetwork, find_sgemm
from thew.search.trial import Samples

SHAPE = (2, 6, 11, 9)
NETWORKS = {
    "dense": lambda: nn.Conv2d(6, 5, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
    "grouped": lambda: nn.Conv2d(6, 4, 3, groups=2, padding=1),
    "depthwise": lambda: nn.Sequential(nn.Conv2d(6, 12, 3, groups=6, stride=2, padding=1), nn.ReLU6()),
    "pointwise": lambda: nn.Sequential(nn.Conv2d(6, 7, 1), nn.BatchNorm2d(7), nn.ReLU()),
    "wide": lambda: nn.Conv2d(6, 3, 7, padding=6),
    "pools": lambda: nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1)),
    "head": lambda: nn.Sequential(nn.Flatten(), nn.Linear(594, 10), nn.Softmax(1)),
    "no maker": lambda: nn.Sequential(nn.Conv2d(6, 2, 1), nn.GELU()),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_computes_what_the_references_do(name):
    graph = NETWORKS[name]().graph(SHAPE)
    network = BlasNetwork(graph, {"input": TensorType("fp32", SHAPE)})
    random = np.random.default_rng(0)
    for _ in range(2):  # the second run finds buffers and workspace in use
        x = random.standard_normal(SHAPE).astype(np.float32)
        (expected,) = evaluate(graph, {"input": x}).values()
        # Sums of at most 594 products, each rounded once: far below 594 half units in the last place of the sum of
        # magnitudes, which is near sqrt(594) here.
        bound = 594 * np.finfo(np.float32).eps * max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(network.run({"input": x})[0], expected, rtol=0, atol=bound)


def test_memory_is_that_of_all_values_weights_and_patches():
    graph = nn.Sequential(nn.Conv2d(6, 5, 3), nn.ReLU()).graph(SHAPE)
    network = BlasNetwork(graph, {"input": TensorType("fp32", SHAPE)})
    values = 2 * 6 * 11 * 9 + 2 * (2 * 5 * 9 * 7)
    assert network.weight_bytes == 4 * (5 * 6 * 9 + 5)
    assert network.memory_bytes == 4 * values + network.weight_bytes + 4 * 6 * 9 * 9 * 7


def test_numpy_serves_where_openblas_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy_openblas32", None)
    sgemm = find_sgemm(1)
    a, b, c = np.ones((2, 3), np.float32), np.full((3, 4), 2, np.float32), np.zeros((2, 4), np.float32)
    sgemm.bind(a, b, c)()
    assert sgemm.name.startswith("NumPy") and (c == 6).all()


def test_parts_of_samples_share_none():
    x, y = np.arange(100, dtype=np.float32).reshape(100, 1), np.arange(100)
    parts = Samples.split(Data(x, y), seed=3)
    seen = [set(part.y.tolist()) for part in (parts.calibration, parts.search, parts.confirmation)]
    assert set.union(*seen) == set(range(100)) and sum(map(len, seen)) == 100 and min(map(len, seen)) >= 20
    assert all((part.x[:, 0] == part.y).all() for part in (parts.calibration, parts.search, parts.confirmation))
