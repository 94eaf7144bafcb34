"""Networks quantised after training: on integers from end to end, the same in ONNX Runtime, and as accurate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thew
from thew.compress import Calibrator
from thew.compress.calibration import POLICIES
from thew.compress.sensitivity import keep_accurate, sensitivity
from thew.compress.speed import keep_faster
from thew.errors import InputError
from thew.ir import Graph

RNG = np.random.default_rng(0)


def small_net() -> Graph:
    """A net of untrained layers of all kinds that quantise: a residual, a depthwise convolution, a concatenation."""
    from thew import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
            self.depthwise = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.ReLU())
            self.point = nn.Conv2d(16, 16, 1)
            self.pool = nn.MaxPool2d(2)
            self.head = nn.Linear(16, 10)

        def forward(self, x: Any) -> Any:
            y = self.pool(self.stem(x))
            y = y + self.point(self.depthwise(y))
            return self.head(y.mean((2, 3)))

    return Net().graph(("n", 3, 16, 16))


X = RNG.standard_normal((32, 3, 16, 16)).astype(np.float32)


def outputs(model: Any, x: Any = X) -> Any:
    session = thew.InferenceSession(model, threads=1)
    return session.run(None, {session.get_inputs()[0].name: x})[0]


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("calibration", POLICIES)
def test_every_way_to_calibrate_is_close(calibration: str, per_channel: bool, symmetric: bool) -> None:
    graph = small_net()
    expected = outputs(graph)
    quantized = thew.quantize(graph, X, calibration=calibration, per_channel=per_channel, symmetric=symmetric)
    error = outputs(quantized.graph) - expected
    # 8 bits leave some 40 dB of signal over noise; a dozen layers add up, and a narrow range cuts extremes.
    assert (error**2).mean() < 0.01 * expected.var()
    assert quantized.kept == () and len(quantized.layers) == 5


def test_the_file_is_the_model(tmp_path: Path) -> None:
    quantized = thew.quantize(small_net(), X)
    quantized.save(tmp_path / "model.onnx")
    np.testing.assert_array_equal(outputs(tmp_path / "model.onnx"), outputs(quantized.graph))
    ops = {row.op for row in thew.InferenceSession(quantized.graph).explain(rounds=0).rows}
    assert not {"conv", "add", "matmul"} & ops, ops


def test_onnxruntime_gives_the_same(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    quantized = thew.quantize(small_net(), X, calibration="mse")
    quantized.save(tmp_path / "model.onnx")
    peer = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (expected,) = peer.run(None, {"input": X})
    step = quantized.graph.constants[
        next(node for node in reversed(quantized.graph.nodes) if node.op == "dequantize_linear").inputs[1]
    ]
    steps = np.abs(outputs(quantized.graph) - expected) / float(step)
    # A sum on the edge between two integers may fall either way, as floats round before it: a step, rarely more.
    assert steps.max() <= 2.1 and (steps > 0.5).mean() < 0.05


def test_one_calibration_gives_many_models() -> None:
    graph = small_net()
    calibrator = Calibrator(graph, X)
    whole = calibrator.quantize()
    part = calibrator.quantize(kept=whole.layers[:1])
    assert part.kept == whole.layers[:1] and part.layers == whole.layers[1:]
    expected = outputs(graph)
    assert ((outputs(part.graph) - expected) ** 2).mean() < 0.01 * expected.var()


def test_layers_that_are_slower_go_back_to_floats() -> None:
    graph = small_net()
    calibrator = Calibrator(graph, X)
    quantized, timing = keep_faster(calibrator)
    assert sorted(key for time in timing.layers for key in time.keys) == sorted(calibrator.layers)
    assert {*quantized.layers, *quantized.kept} == set(calibrator.layers)
    assert min(timing.float_seconds, timing.integer_seconds, timing.chosen_seconds) > 0
    assert timing.chosen_seconds <= timing.float_seconds
    assert ((outputs(quantized.graph) - outputs(graph)) ** 2).mean() < 0.01 * outputs(graph).var()


def test_sensitive_layers_go_back_to_floats_first() -> None:
    graph = small_net()
    calibrator = Calibrator(graph, X)
    errors = sensitivity(calibrator)
    assert set(errors) == {key for key, layer in calibrator.layers.items() if layer.weight} and min(errors.values()) > 0
    worst = max(errors, key=lambda key: errors[key])
    assert keep_accurate(calibrator, lambda found: True).kept == ()
    one = keep_accurate(calibrator, lambda found: worst in found.kept)
    assert [key for key in one.kept if calibrator.layers[key].weight] == [worst]
    assert keep_accurate(calibrator, lambda found: False).layers == ()


def test_what_does_not_fit_is_refused() -> None:
    graph = small_net()
    quantized = thew.quantize(graph, X)
    for arguments, rule in (
        ({"calibration": "median"}, "must be one of"),
        ({"kept": ("nothing",)}, "must be names of layers"),
        ({"data": X[0]}, "must have shape"),
        ({"data": {"other": X}}, "must have samples for"),
        ({"model": quantized.graph}, "must be a float one"),
    ):
        with pytest.raises(InputError, match=rule):
            thew.quantize(**{"model": graph, "data": X, **arguments})
