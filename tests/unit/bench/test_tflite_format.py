"""Graphs in TensorFlow Lite's format, run by LiteRT where it is installed, against the NumPy reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from thew.bench.peers.tflite_format import write
from thew.errors import UnsupportedError
from thew.ir import GraphBuilder, TensorType
from thew.ops.interpret import evaluate
from thew.passes.specialise import specialise

interpreter = pytest.importorskip("ai_edge_litert.interpreter")


def graph():
    """Pads that are not "same", a depthwise layer, activations, a residual, pooling, a flattening, a dense layer."""
    builder, random = GraphBuilder("net"), np.random.default_rng(0)

    def constant(name, *shape):
        return builder.constant(random.standard_normal(shape).astype(np.float32), name)

    x = builder.input("x", "fp32", (2, 3, 12, 13))
    options = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}
    y = builder.node("conv", [x, constant("w0", 8, 3, 3, 3), constant("b0", 8)], strides=(2, 2), **options)
    y = first = builder.node("relu", [y])
    y = builder.node("conv", [y, constant("w1", 8, 1, 3, 3)], group=8, **options)
    low, high = (builder.constant(np.array(bound, np.float32), name) for name, bound in (("lo", 0), ("hi", 6)))
    y = builder.node("clip", [y, low, high])
    y = builder.node("add", [y, first])
    y = builder.node("max_pool", [y], kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    y = builder.node("flatten", [y])
    y = builder.node("gemm", [y, constant("w2", 5, 8 * 3 * 4), constant("b2", 5)], transB=1)
    return builder.graph([builder.node("softmax", [y], "y")])


def test_litert_computes_what_the_reference_does(tmp_path: Path) -> None:
    whole = specialise(graph(), {"x": TensorType("fp32", (2, 3, 12, 13))})
    write(whole, tmp_path / "net.tflite")
    x = np.random.default_rng(1).standard_normal((2, 3, 12, 13)).astype(np.float32)
    runner = interpreter.Interpreter(str(tmp_path / "net.tflite"), num_threads=1)
    runner.allocate_tensors()
    runner.set_tensor(runner.get_input_details()[0]["index"], np.ascontiguousarray(x.transpose(0, 2, 3, 1)))
    runner.invoke()
    found = runner.get_tensor(runner.get_output_details()[0]["index"])
    expected = evaluate(whole, {"x": x})["y"]
    # Probabilities after sums of at most 96 products of order 10.
    np.testing.assert_allclose(found, expected, rtol=0, atol=96 * 10 * np.finfo(np.float32).eps)


def test_an_op_without_counterpart_is_refused(tmp_path: Path) -> None:
    builder = GraphBuilder("net")
    whole = builder.graph([builder.node("erf", [builder.input("x", "fp32", (2, 3))], "y")])
    with pytest.raises(UnsupportedError, match="no counterpart"):
        write(specialise(whole, {"x": TensorType("fp32", (2, 3))}), tmp_path / "net.tflite")
