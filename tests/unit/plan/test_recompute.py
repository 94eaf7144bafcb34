"""Values that are let go and made again: the graph gives the same, and less of it is alive at once."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from thew import nn, ops, optim
from thew.ir import TensorType
from thew.nn.loss import loss_of
from thew.ops.interpret import evaluate
from thew.passes import pipeline
from thew.passes.specialise import specialise
from thew.plan import Target, recompute
from thew.plan.recompute import fit, least_bytes, live_bytes
from thew.runtime.executable import Settings
from thew.train.precision import precision_of
from thew.train.step import build_step

SETTINGS = Settings(Target("a board", ("neon",), 1, (), needs=lambda step: None))  # no node is mixed: none is read


class Block(nn.Module):
    """A residual block with all that needs care: batch norm, dropout, a value with many readers."""

    def __init__(self, channels):
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.relu, self.drop = nn.ReLU(), nn.Dropout(0.3)

    def forward(self, x):
        y = self.drop(self.relu(self.norm1(self.conv1(x))))
        return self.relu(self.norm2(self.conv2(y)) + x)


def networks():
    with nn.init.seeded(0):
        plain = nn.Sequential(
            nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.GELU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 32), nn.SiLU(), nn.Linear(32, 5),
        )  # fmt: skip
        residual = nn.Sequential(
            nn.Conv2d(2, 8, 3, padding=1), Block(8), Block(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
        )
    return {"plain": plain, "residual": residual}


def step_of(name, precision="fp64"):
    """A prepared step, and inputs for it."""
    dtype = "fp64" if precision == "fp64" else "fp32"
    step = build_step(
        networks()[name], loss_of("cross_entropy"), optim.SGD(lr=0.1, momentum=0.9),
        TensorType(dtype, (6, 2, 8, 8)), TensorType("int64", (6,)), precision_of(precision), SETTINGS,
    )  # fmt: skip
    types = {value.name: value.type for value in step.graph.inputs}
    graph = pipeline.run(specialise(step.graph, types), pipeline.SPECIALISED)
    random = np.random.default_rng(1)
    feeds = {}
    for value in step.graph.inputs:
        shape = value.type.static_shape
        if value.type.dtype == "int64":
            feeds[value.name] = random.integers(0, 5, shape)
        else:
            feeds[value.name] = random.uniform(0.1, 0.5, shape).astype("f8" if value.type.dtype == "fp64" else "f4")
    return specialise(graph, types), feeds


@pytest.mark.parametrize("name", ["plain", "residual"])
@pytest.mark.parametrize("share", [0.8, 0.5])
def test_results_do_not_change(name, share):
    graph, feeds = step_of(name)
    most = max(live_bytes(graph))
    changed = fit(graph, int(most * share))
    assert least_bytes(graph) <= max(live_bytes(changed)) < most
    assert len(changed.nodes) > len(graph.nodes) and any(node.op == "hold" for node in changed.nodes)
    for ours, theirs in zip(evaluate(changed, feeds).values(), evaluate(graph, feeds).values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["plain", "residual"])
def test_passes_leave_the_copies_alone(name):
    graph, feeds = step_of(name)
    changed = fit(graph, max(live_bytes(graph)) // 2)
    types = {value.name: value.type for value in graph.inputs}
    again = specialise(pipeline.run(changed, pipeline.SPECIALISED), types)
    assert max(live_bytes(again)) <= max(live_bytes(changed))
    for ours, theirs in zip(evaluate(again, feeds).values(), evaluate(graph, feeds).values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_running_statistics_move_once():
    graph, _ = step_of("residual")
    changed = fit(graph, max(live_bytes(graph)) // 2)
    copies = [node for node in changed.nodes if node.op == "batch_norm_training"]
    states = {value.name for value in graph.inputs}
    updating = [node for node in copies if node.inputs[3] in states]
    assert len(copies) > len(updating) == 4


def test_half_precision_waits(monkeypatch):
    monkeypatch.setattr(recompute, "MOST_NODES", 0)  # nothing is made again
    graph, feeds = step_of("plain", "fp32")
    changed = fit(graph, 0, "bf16")
    assert max(live_bytes(changed)) < max(live_bytes(graph))
    assert any(node.op == "cast" and node.attributes["to"] == "bf16" for node in changed.nodes)
    epsilon = float(ml_dtypes.finfo("bfloat16").eps)
    for ours, theirs in zip(evaluate(changed, feeds).values(), evaluate(graph, feeds).values(), strict=True):
        # Gradients are sums of products with one rounded factor; the update takes a tenth of them.
        np.testing.assert_allclose(ours, theirs, rtol=epsilon, atol=epsilon * np.abs(theirs).max())


def test_what_fits_stays_as_it_is():
    graph, _ = step_of("plain")
    assert fit(graph, max(live_bytes(graph))) is graph
    assert ops.get("hold").is_pure is False
