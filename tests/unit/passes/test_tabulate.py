"""Functions of one byte: each table gives what the nodes give, for every byte; what is no such function stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from thew.ir import Graph, GraphBuilder
from thew.ops.interpret import evaluate
from thew.passes.eliminate_dead import eliminate_dead
from thew.passes.specialise import specialise
from thew.passes.tabulate import tabulate

SHAPE = (1, 4, 8, 8)


class Net:
    """A graph of one or two quantised inputs."""

    def __init__(self, dtype: str = "uint8") -> None:
        self.builder, self.dtype = GraphBuilder("quantised"), dtype
        self.arrays: dict[str, Any] = {}

    def constant(self, value: Any, dtype: str = "float32") -> str:
        return self.builder.constant(np.asarray(value, dtype))

    def input(self, name: str = "x") -> str:
        self.arrays[name] = np.arange(256).astype(np.uint8).view(self.dtype).reshape(SHAPE)
        return self.dequantised(self.builder.input(name, self.dtype, SHAPE), 0.05, 17)

    def dequantised(self, q: str, scale: float, zero: int) -> str:
        return self.builder.node("dequantize_linear", [q, self.constant(scale), self.constant(zero, self.dtype)])

    def quantised(self, y: str, scale: float, zero: int) -> str:
        return self.builder.node("quantize_linear", [y, self.constant(scale), self.constant(zero, self.dtype)])

    def compare(self, outputs: list[str], wanted: list[str]) -> None:
        graph = self.builder.graph(outputs)
        for before in (
            graph,
            specialise(graph, {value.name: value.type for value in graph.inputs}),
        ):
            after = eliminate_dead(tabulate(before))
            assert [node.op for node in after.nodes] == wanted
            expected, got = evaluate(before, self.arrays), evaluate(after, self.arrays)
            for name in outputs:
                np.testing.assert_array_equal(got[name], expected[name])
                assert got[name].dtype == expected[name].dtype


def hard_swish(net: Net, x: str) -> str:
    """As exporters write it down."""
    node = net.builder.node
    gate = node("clip", [node("add", [x, net.constant(3)]), net.constant(0), net.constant(6)])
    return node("div", [node("mul", [x, gate]), net.constant([6])])


def silu(net: Net, x: str) -> str:
    """With a quantisation within, as quantisers leave it."""
    gate = net.dequantised(net.quantised(net.builder.node("sigmoid", [x]), 1 / 255, 3), 1 / 255, 3)
    return net.builder.node("mul", [x, gate])


def leaky(net: Net, x: str) -> str:
    return net.builder.node("leaky_relu", [x], alpha=0.2)


def same(net: Net, x: str) -> str:
    return x


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("function", [hard_swish, silu, leaky, same])
def test_functions(dtype: str, function: Callable[[Net, str], str]) -> None:
    net = Net(dtype)
    net.compare([net.quantised(function(net, net.input()), 0.03, 9)], ["lookup"])


def test_one_behind_another_is_one() -> None:
    net = Net()
    first = net.quantised(leaky(net, net.input()), 0.03, 9)
    second = net.quantised(hard_swish(net, net.dequantised(first, 0.03, 9)), 0.02, 30)
    net.compare([second], ["lookup"])
    net.compare([first, second], ["lookup", "lookup"])  # side by side


def test_what_depends_on_more_stays() -> None:
    net = Net()
    total = net.builder.node("add", [net.input("a"), net.input("b")])
    graph = net.builder.graph([net.quantised(total, 0.1, 3)])
    assert tabulate(graph) is graph
    net = Net()
    by_channel = net.builder.node("mul", [net.input(), net.constant(np.ones((4, 1, 1)))])
    graph = net.builder.graph([net.quantised(by_channel, 0.1, 3)])
    assert tabulate(graph) is graph
    net = Net()
    pooled = net.builder.node("global_average_pool", [net.input()])
    graph = net.builder.graph([net.quantised(pooled, 0.1, 3)])
    assert tabulate(graph) is graph


def test_numbers_of_a_higher_rank_stay() -> None:
    builder = GraphBuilder("ranks")
    q = builder.input("x", "uint8", (5,))
    steps = [builder.constant(np.asarray(0.1, np.float32)), builder.constant(np.asarray(3, np.uint8))]
    x = builder.node("dequantize_linear", [q, *steps])
    y = builder.node("mul", [x, builder.constant(np.full((1, 1), 2, np.float32))])  # of shape (1, 5)
    graph: Graph = builder.graph([builder.node("quantize_linear", [y, *steps])])
    assert tabulate(graph) is graph


def test_a_convolution_gives_images_even_where_no_shape_is_known() -> None:
    net = Net()
    x = net.builder.input("image", "uint8", None)
    weight, scale = net.constant(np.ones((4, 4, 1, 1)), "int8"), net.constant(0.05)
    steps = [scale, net.constant(17, "uint8")]
    conv = net.builder.node("qlinear_conv", [x, *steps, weight, scale, net.constant(0, "int8"), *steps])
    graph = net.builder.graph([net.quantised(hard_swish(net, net.dequantised(conv, 0.05, 17)), 0.03, 9)])
    unknown = graph.replace(types={})
    after = eliminate_dead(tabulate(unknown))
    assert [node.op for node in after.nodes] == ["qlinear_conv", "lookup"]
    given = {"image": np.arange(256).astype(np.uint8).reshape(SHAPE)}
    (expected,), (got,) = evaluate(graph, given).values(), evaluate(after, given).values()
    np.testing.assert_array_equal(got, expected)
