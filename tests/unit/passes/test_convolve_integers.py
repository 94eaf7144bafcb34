"""Quantised convolutions, against integer arithmetic in NumPy: every rounding decided as exact numbers decide it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from thew.ir import Graph, GraphBuilder
from thew.ops.interpret import evaluate
from thew.passes.convolve_integers import convolve_integers

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (1, 6, 5, 5)).astype(np.uint8)
SCALES = np.array([0.02, 0.03, 0.05, 0.07], np.float32)


def quantised(
    weight_scale: Any = 0.03,
    activation: str = "",
    bias: Any = None,
    bias_scale: Any = None,
    read_twice: bool = False,
    extent: int = 6,
) -> Graph:
    builder = GraphBuilder("quantised")
    x = builder.input("x", "uint8", (1, extent, 5, 5))

    def constant(value: Any, dtype: Any) -> str:
        return builder.constant(np.asarray(value, dtype))

    d = builder.node("dequantize_linear", [x, constant(0.1, np.float32), constant(7, np.uint8)])
    weight = constant(np.random.default_rng(1).integers(-128, 128, (4, extent, 3, 3)), np.int8)
    zeros = np.zeros(np.shape(weight_scale), np.int8)
    scale = constant(weight_scale, np.float32)
    inputs = [d, builder.node("dequantize_linear", [weight, scale, constant(zeros, np.int8)], axis=0)]
    if bias is not None:
        step = np.float32(0.1) * np.float32(weight_scale) if bias_scale is None else bias_scale
        inputs.append(builder.node("dequantize_linear", [constant(bias, np.int32), constant(step, np.float32)], axis=0))
    y = builder.node("conv", inputs, pads=(1, 1, 1, 1), strides=(2, 2))
    after = y
    if activation == "relu":
        after = builder.node("relu", [y])
    elif activation == "clip":
        after = builder.node("clip", [y, constant(0, np.float32), constant(6, np.float32)])
    q = builder.node("quantize_linear", [after, constant(0.25, np.float32), constant(10, np.uint8)])
    return builder.graph([q, y] if read_twice else [q])


def exact(weight_scale: Any, activation: str, bias: Any) -> Any:
    """The quantised outputs from integer sums and exact fractions."""
    weight = np.random.default_rng(1).integers(-128, 128, (4, 6, 3, 3))
    padded = np.pad(X.astype(np.int64) - 7, ((0, 0), (0, 0), (1, 1), (1, 1)))
    result = np.empty((1, 4, 3, 3), np.uint8)
    for channel, row, column in np.ndindex(4, 3, 3):
        window = padded[0, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        total = int((window * weight[channel]).sum()) + (0 if bias is None else int(bias[channel]))
        scale = np.broadcast_to(np.asarray(weight_scale, np.float32), 4)[channel]
        value = total * Fraction(float(np.float32(0.1))) * Fraction(float(scale))
        if activation:
            value = max(value, Fraction(0))
        if activation == "clip":
            value = min(value, Fraction(6))
        result[0, channel, row, column] = min(max(round(value / Fraction(1, 4)) + 10, 0), 255)
    return result


@pytest.mark.parametrize("bias", [None, [100, -2000, 30, 4]])
@pytest.mark.parametrize(
    ("weight_scale", "activation"),
    [(0.03, ""), (0.03, "relu"), (0.03, "clip"), (SCALES, ""), (SCALES, "relu"), (SCALES, "clip")],
)
def test_rounds_as_exact_numbers_do(weight_scale: Any, activation: str, bias: Any) -> None:
    graph = quantised(weight_scale, activation, bias)
    after = convolve_integers(graph)
    assert after is not graph
    assert [node.op for node in after.nodes if node.op != "dequantize_linear"] == ["qlinear_conv"]
    np.testing.assert_array_equal(evaluate(after, {"x": X})[after.outputs[0]], exact(weight_scale, activation, bias))


@pytest.mark.parametrize(
    "graph",
    [
        quantised(read_twice=True),
        quantised(bias=[1, 2, 3, 4], bias_scale=0.5),  # the bias is no whole number of products' steps
        quantised(extent=3700),  # sums may pass what int32 counts
    ],
    ids=["read twice", "bias in other steps", "long sums"],
)
def test_left_alone(graph: Graph) -> None:
    assert convolve_integers(graph) is graph


def test_float_convolutions_are_left_alone() -> None:
    builder = GraphBuilder("float")
    x = builder.input("x", "fp32", (1, 2, 4, 4))
    y = builder.node("conv", [x, builder.constant(np.ones((2, 2, 1, 1), np.float32))])
    graph = builder.graph([y])
    assert convolve_integers(graph) is graph


@pytest.mark.parametrize("scale", [0.0, np.nan, np.inf, -0.1])
def test_scales_that_are_no_steps_are_left_alone(scale: float) -> None:
    graph = quantised(weight_scale=scale)
    assert convolve_integers(graph) is graph


def test_wider_inputs_are_left_alone() -> None:
    graph = quantised()
    zero = graph.nodes[0].inputs[2]
    wide = graph.replace(constants={**graph.constants, zero: np.asarray(7, np.uint16)})
    value = wide.inputs[0]
    wide = wide.replace(inputs=(type(value)(value.name, type(value.type)("uint16", value.type.shape)),))
    assert convolve_integers(wide) is wide


def test_a_bias_of_another_length_is_left_alone() -> None:
    graph = quantised(bias=[1, 2, 3])
    assert convolve_integers(graph) is graph
