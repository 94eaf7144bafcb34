"""Passes over integer ops other than convolutions, against the graph of floats: at most a step apart, mostly none.

The floats round once more before they are quantised, so a result on the edge between two integers may fall either way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from thew.ir import Graph, GraphBuilder
from thew.ops.interpret import evaluate
from thew.passes.combine_integers import combine_integers
from thew.passes.convolve_integers import convolve_integers
from thew.passes.eliminate_dead import eliminate_dead
from thew.passes.fuse_integer_sums import fuse_integer_sums
from thew.passes.move_integers import move_integers
from thew.passes.multiply_integers import multiply_integers
from thew.passes.specialise import specialise

RNG = np.random.default_rng(0)


class Quantised:
    """Builds graphs of dequantised inputs, an op, and a quantisation."""

    def __init__(self) -> None:
        self.builder = GraphBuilder("quantised")
        self.arrays: dict[str, Any] = {}

    def constant(self, value: Any, dtype: str) -> str:
        return self.builder.constant(np.asarray(value, dtype))

    def steps(self, scale: float, zero: int, dtype: str) -> list[str]:
        return [self.constant(scale, "float32"), self.constant(zero, dtype)]

    def input(self, name: str, shape: tuple[int, ...], scale: float, zero: int, dtype: str = "uint8") -> str:
        x = self.builder.input(name, dtype, shape)
        limits = np.iinfo(dtype)
        self.arrays[name] = RNG.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)
        return self.builder.node("dequantize_linear", [x, *self.steps(scale, zero, dtype)])

    def weight(self, shape: tuple[int, ...], scale: Any, axis: int) -> str:
        stored = self.constant(RNG.integers(-127, 127, shape), "int8")
        zeros = self.constant(np.zeros(np.shape(scale)), "int8")
        return self.builder.node("dequantize_linear", [stored, self.constant(scale, "float32"), zeros], axis=axis)

    def graph(self, y: str, scale: float, zero: int, dtype: str = "uint8") -> Graph:
        return self.builder.graph([self.builder.node("quantize_linear", [y, *self.steps(scale, zero, dtype)])])

    def compare(self, before: Graph, rewrite: Callable[[Graph], Graph], wanted: list[str]) -> None:
        after = eliminate_dead(rewrite(before))
        assert [node.op for node in after.nodes] == wanted
        expected = evaluate(before, self.arrays)[before.outputs[0]].astype(int)
        got = evaluate(after, self.arrays)[after.outputs[0]].astype(int)
        assert np.abs(got - expected).max() <= 1 and (got != expected).mean() < 0.02


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("activation", ["", "relu", "clip"])
def test_gemm_with_a_bias(transposed: int, per_channel: bool, activation: str) -> None:
    net = Quantised()
    scale = RNG.uniform(0.01, 0.02, 30).astype(np.float32) if per_channel else np.float32(0.01)
    x = net.input("x", (4, 20), 0.05, 120)
    weight = net.weight((30, 20) if transposed else (20, 30), scale, 0 if transposed else 1)
    bias = net.constant(RNG.integers(-3000, 3000, 30), "int32")
    step = net.constant(np.float32(0.05) * scale, "float32")
    inputs = [x, weight, net.builder.node("dequantize_linear", [bias, step], axis=0)]
    y = net.builder.node("gemm", inputs, transB=transposed)
    if activation == "relu":
        y = net.builder.node("relu", [y])
    elif activation == "clip":
        y = net.builder.node("clip", [y, net.constant(-1, "float32"), net.constant(2.5, "float32")])
    net.compare(net.graph(y, 0.1, 3), multiply_integers, ["qlinear_matmul"])


def test_matmul_of_a_batch() -> None:
    net = Quantised()
    y = net.builder.node("matmul", [net.input("x", (2, 3, 20), 0.05, 7, "int8"), net.weight((20, 6), 0.02, 1)])
    net.compare(net.graph(y, 0.1, -4, "int8"), multiply_integers, ["qlinear_matmul"])


def test_products_that_stay() -> None:
    net = Quantised()
    x = net.input("x", (4, 20), 0.05, 120)
    scaled = net.graph(net.builder.node("gemm", [x, net.weight((20, 6), 0.01, 1)], alpha=0.5), 0.1, 0)
    assert multiply_integers(scaled) is scaled
    net = Quantised()
    by_row = net.weight((20, 6), np.full(20, 0.01), 0)  # no scale of sums
    graph = net.graph(net.builder.node("matmul", [net.input("x", (4, 20), 0.05, 120), by_row]), 0.1, 0)
    assert multiply_integers(graph) is graph


@pytest.mark.parametrize("activation", ["", "relu"])
def test_sums(activation: str) -> None:
    net = Quantised()
    y = net.builder.node("add", [net.input("a", (2, 5, 4, 4), 0.05, 100), net.input("b", (2, 5, 4, 4), 0.03, 128)])
    if activation:
        y = net.builder.node("relu", [y])
    net.compare(net.graph(y, 0.07, 20), combine_integers, ["qlinear_add"])


def test_products() -> None:
    net = Quantised()
    y = net.builder.node("mul", [net.input("a", (2, 5, 4, 4), 0.05, 100), net.input("b", (2, 5, 1, 1), 0.003, 3)])
    net.compare(net.graph(y, 0.02, 90), combine_integers, ["qlinear_mul"])


def test_sums_of_two_dtypes_stay() -> None:
    net = Quantised()
    y = net.builder.node("add", [net.input("a", (5,), 0.05, 100), net.input("b", (5,), 0.03, 12, "int8")])
    graph = net.graph(y, 0.07, 20)
    assert combine_integers(graph) is graph


def test_moves() -> None:
    net = Quantised()
    pooled = net.builder.node("max_pool", [net.input("x", (1, 3, 6, 6), 0.05, 10)], kernel_shape=(2, 2), strides=(2, 2))
    net.compare(net.graph(pooled, 0.05, 10), move_integers, ["max_pool"])
    net = Quantised()
    turned = net.builder.node("transpose", [net.input("x", (1, 3, 6), 0.05, 10)], perm=(0, 2, 1))
    graph = net.graph(turned, 0.06, 10)  # other steps
    assert move_integers(graph) is graph


def test_concat_brings_operands_into_its_steps() -> None:
    net = Quantised()
    parts = [net.input("a", (1, 3, 4, 4), 0.05, 10), net.input("b", (1, 2, 4, 4), 0.03, 128)]
    graph = net.graph(net.builder.node("concat", parts, axis=1), 0.05, 10)
    net.compare(graph, move_integers, ["dequantize_linear", "quantize_linear", "concat"])


def test_slices_and_pads() -> None:
    net = Quantised()
    bounds = [net.constant(value, "int64") for value in ([0, 0], [6, 6], [2, 3], [2, 2])]
    cut = net.builder.node("slice", [net.input("x", (1, 3, 6, 6), 0.05, 10), *bounds])
    net.compare(net.graph(cut, 0.05, 10), move_integers, ["slice"])
    net = Quantised()
    padded = net.builder.node("pad", [net.input("x", (1, 3, 6), 0.05, 10), net.constant([0, 2, 0, 0, 1, 0], "int64")])
    net.compare(net.graph(padded, 0.05, 10), move_integers, ["pad"])  # with the zero point, which stands for 0


def test_pads_with_other_numbers_stay() -> None:
    net = Quantised()
    amounts, filler = net.constant([0, 2, 0, 0, 1, 0], "int64"), net.constant(1.0, "float32")
    graph = net.graph(net.builder.node("pad", [net.input("x", (1, 3, 6), 0.05, 10), amounts, filler]), 0.05, 10)
    assert move_integers(graph) is graph


def _with_residual(
    group: int = 1, clip: bool = False, shape: tuple[int, ...] = (1, 6, 5, 5), read_scale: float = 0.06
) -> tuple[Quantised, Graph]:
    """A quantised convolution, added to another tensor, and the sum quantised after a relu."""
    net = Quantised()
    x, residual = net.input("x", (1, 6, 5, 5), 0.05, 120), net.input("r", shape, 0.07, 110)
    y = net.builder.node("conv", [x, net.weight((6, 6 // group, 1, 1), 0.02, 0)], group=group)
    if clip:
        y = net.builder.node("relu", [y])
    y = net.builder.node("quantize_linear", [y, *net.steps(0.06, 90, "uint8")])
    y = net.builder.node("dequantize_linear", [y, *net.steps(read_scale, 90, "uint8")])
    total = net.builder.node("relu", [net.builder.node("add", [residual, y])])
    graph = combine_integers(convolve_integers(net.graph(total, 0.09, 3)))
    return net, specialise(eliminate_dead(graph), {value.name: value.type for value in graph.inputs})


def test_sums_join_the_convolution_before_them() -> None:
    net, before = _with_residual()
    after = eliminate_dead(fuse_integer_sums(before))
    assert [node.op for node in after.nodes] == ["qlinear_conv"]
    got, expected = (evaluate(graph, net.arrays)[graph.outputs[0]] for graph in (after, before))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    "given", [{"group": 6}, {"clip": True}, {"shape": (1, 1, 5, 5)}, {"read_scale": 0.05}], ids=str
)
def test_sums_that_stay(given: dict[str, Any]) -> None:
    _, graph = _with_residual(**given)
    assert fuse_integer_sums(graph) is graph
