"""Graphs of integers in TensorFlow Lite's format, run by LiteRT where it is installed, against the NumPy reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from thew.bench.peers.tflite_integers import write_integers
from thew.errors import UnsupportedError
from thew.ir import Graph, GraphBuilder, TensorType
from thew.ops.interpret import evaluate
from thew.passes.specialise import specialise

interpreter = pytest.importorskip("ai_edge_litert.interpreter")

STEP = 0.05  # of every activation
SHAPE = (2, 3, 12, 13)


def graph(activations: str, weights: str, **limits: int) -> Graph:
    """Pads that are not "same", a depthwise layer, limits of activations, a sum, pooling, a dense layer."""
    b, random = GraphBuilder("net"), np.random.default_rng(0)
    zero = b.constant(np.array(-100 if activations == "int8" else 28, activations), "zero")
    low = b.constant(np.array(np.iinfo(activations).min, activations), "low")
    step = b.constant(np.float32(STEP), "step")

    def layer(name: str, x: str, x_zero: str, y_zero: str, *shape: int, **how: object) -> str:
        filters, inside = shape[0], int(np.prod(shape[1:]))
        if weights == "int8":
            data, scale, point = random.integers(-127, 128, shape), random.uniform(0.5, 1, filters), np.zeros(filters)
        else:
            data, scale, point = random.integers(0, 256, shape), np.array(0.7), np.array(131)
        w = b.constant(data.astype(weights), f"{name}_w")
        w_scale = b.constant((scale / 64 / np.sqrt(inside)).astype(np.float32), f"{name}_s")
        w_zero, bias = b.constant(point.astype(weights)), b.constant(random.integers(-900, 900, filters, np.int32))
        return b.node("qlinear_conv", [x, step, x_zero, w, w_scale, w_zero, step, y_zero, bias], **how)

    square = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}
    x = b.node("quantize_linear", [b.input("x", "fp32", SHAPE), step, zero])
    point = int(np.array(-100 if activations == "int8" else 28))
    first = layer("a", x, zero, zero, 8, 3, 3, 3, strides=(2, 2), **square, **(limits or {"low": point}))
    second = layer("b", first, zero, zero, 8, 1, 3, 3, group=8, **square)
    total = b.node("qlinear_add", [second, step, zero, first, step, zero, step, low])
    pooled = b.node("max_pool", [total], kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    last = layer("c", pooled, low, zero, 5, 8, 3, 3, kernel_shape=(3, 3))
    flat = b.node("flatten", [b.node("dequantize_linear", [last, step, zero])], "y")
    return specialise(b.graph([flat]), {"x": TensorType("fp32", SHAPE)})


@pytest.mark.parametrize(("activations", "weights"), [("int8", "int8"), ("uint8", "int8"), ("uint8", "uint8")])
def test_litert_computes_what_the_reference_does(activations: str, weights: str, tmp_path: Path) -> None:
    whole = graph(activations, weights)
    write_integers(whole, tmp_path / "net.tflite")
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    runner = interpreter.Interpreter(str(tmp_path / "net.tflite"), num_threads=1)
    runner.allocate_tensors()
    runner.set_tensor(runner.get_input_details()[0]["index"], np.ascontiguousarray(x.transpose(0, 2, 3, 1)))
    runner.invoke()
    found = runner.get_tensor(runner.get_output_details()[0]["index"])
    expected = evaluate(whole, {"x": x})["y"]
    assert np.ptp(expected) > 20 * STEP
    # Each of three layers before the last may fall to the other side of an edge; filters have a norm of about one.
    assert np.abs(found - expected).max() <= 4 * STEP + 1e-6


def test_limits_of_no_activation_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="limits must be those of an activation, got -90 and 50"):
        write_integers(graph("int8", "int8", low=-90, high=50), tmp_path / "net.tflite")
