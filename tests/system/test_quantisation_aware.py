"""Training with roundings in place: gradients go through, ranges follow, and what comes out is the same on integers."""

from __future__ import annotations

import numpy as np
import pytest

import thew
from thew import nn, optim
from thew.autodiff import Extension, differentiate
from thew.compress import prepare
from thew.ir import Graph, Node, TensorType, Value
from thew.ops.interpret import evaluate


def network():
    with nn.init.seeded(3):
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4),
        )  # fmt: skip


def samples(n=256, seed=0):
    """Stripes of four directions, in noise."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 4, n)
    rows, columns = np.mgrid[:8, :8]
    stripes = np.stack([rows % 4 < 2, columns % 4 < 2, (rows + columns) % 4 < 2, (rows - columns) % 4 < 2])
    return (stripes[y, None] + random.normal(0, 0.4, (n, 1, 8, 8))).astype(np.float32), y


@pytest.fixture(scope="module")
def trained():
    x, y = samples()
    floats = network()
    thew.Trainer(floats, optimizer=optim.Adam(lr=3e-3), input_shape=(1, 8, 8)).fit((x, y), epochs=8, batch_size=32)
    return floats


@pytest.fixture(scope="module")
def aware(trained):
    x, y = samples()
    trained.eval()
    model = prepare(trained, x[:64])
    before = {name: array.copy() for name, array in model.state_dict().items()}
    trainer = thew.Trainer(model, optimizer=optim.SGD(lr=2e-3, momentum=0.9), input_shape=(1, 8, 8))
    assert trainer.prepare(32).executable.single is not None  # native from end to end
    history = trainer.fit((x, y), epochs=3, batch_size=32)
    return model, before, trainer, history


def test_it_trains(aware):
    model, before, trainer, history = aware
    assert history["loss"][-1] < history["loss"][0]
    after = model.state_dict()
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert {name for name in before if name.endswith("weight")} <= moved
    assert {name for name in moved if name.endswith(".high")}
    assert trainer.evaluate(samples(seed=1))["accuracy"] > 0.9


def test_what_was_trained_runs_on_integers(aware, tmp_path):
    model, _, trainer, _ = aware
    x, _ = samples(64, seed=2)
    found = model.quantized()
    found.save(tmp_path / "q.onnx")
    session = thew.InferenceSession(tmp_path / "q.onnx")
    (integers,) = session.run(None, {session.get_inputs()[0].name: x})
    assert "qlinear_conv" in str(session.explain(0))
    step = float(found.encodings[found.graph.outputs[0]].scale)
    # Biases are rounded too, and a sum on the edge between two integers may fall to either: once a layer.
    assert np.abs(trainer.predict(x) - integers).max() <= 3.01 * step
    assert len(np.unique(np.rint(integers / step))) > 10


def test_onnx_runtime_agrees(aware, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    model, *_ = aware
    x, _ = samples(64, seed=2)
    found = model.quantized()
    found.save(tmp_path / "q.onnx")
    session = runtime.InferenceSession(str(tmp_path / "q.onnx"), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {session.get_inputs()[0].name: x})
    ours = thew.InferenceSession(tmp_path / "q.onnx")
    (integers,) = ours.run(None, {ours.get_inputs()[0].name: x})
    step = float(found.encodings[found.graph.outputs[0]].scale)
    assert np.abs(theirs - integers).max() <= 2.01 * step


def test_layers_may_stay_float(trained):
    x, _ = samples(32)
    trained.eval()
    every = prepare(trained, x)
    layers = every.quantized().layers
    some = prepare(trained, x, kept=layers[:1])
    assert some.quantized().kept == layers[:1]
    with pytest.raises(thew.errors.InputError, match="kept"):
        prepare(trained, x, kept=["nothing"])


def test_gradients_go_straight_through():
    shape = TensorType("fp64", (6,))
    values = {"x": np.array([-2.0, -1.0, -0.3, 0.4, 1.0, 1.5]), "q": np.arange(6.0)}
    constants = {"low": np.array(-1.0), "high": np.array(1.0), "weights": np.arange(1.0, 7.0)}
    nodes = (
        Node("straight_through", ("q", "x", "low", "high"), ("y",)),
        Node("mul", ("y", "weights"), ("z",)),
        Node("reduce_sum", ("z",), ("loss",), {"keepdims": 0}),
    )
    known = {"y": shape, "z": shape, "loss": TensorType("fp64", ())}
    graph = Graph("through", (Value("x", shape), Value("q", shape)), ("loss",), nodes, constants, known)
    extension = Extension(graph)
    gradients = differentiate(extension, "loss", ["x", "q"])
    assert set(gradients) == {"x"}
    found = evaluate(extension.graph(["loss", gradients["x"]]), values)
    assert found["loss"] == (np.arange(6) * np.arange(1, 7)).sum()
    np.testing.assert_array_equal(found[gradients["x"]], [0, 2, 3, 4, 5, 0])
