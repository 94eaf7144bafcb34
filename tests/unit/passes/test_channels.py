"""Channels that go together, and smaller graphs: a channel of zeros that is taken out changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from thew.ir import Graph, GraphBuilder, verify
from thew.ops.interpret import evaluate
from thew.passes.channel_rules import find_channels
from thew.passes.channels import Channels
from thew.passes.prune_channels import prune_channels

RNG = np.random.default_rng(0)


class Net:
    """Builds graphs of an image of three channels."""

    def __init__(self) -> None:
        self.builder = GraphBuilder("net")
        self.x = self.builder.input("x", "fp32", ("n", 3, 6, 6))

    def constant(self, *shape: int) -> str:
        return self.builder.constant((RNG.standard_normal(shape) / 2).astype(np.float32))

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        return self.builder.node(op, list(inputs), **attributes)

    def conv(self, x: str, before: int, after: int, extent: int = 3, bias: bool = True, **attributes: Any) -> str:
        more = (self.constant(after),) if bias else ()
        weight = self.constant(after, before, extent, extent)
        return self.node("conv", x, weight, *more, pads=(extent // 2,) * 4, **attributes)

    def head(self, x: str, features: int) -> Graph:
        return self.builder.graph([self.node("gemm", x, self.constant(features, 5), self.constant(5))])


def plain() -> Graph:
    net = Net()
    y = net.node("relu", net.conv(net.x, 3, 8))
    y = net.node("max_pool", net.conv(y, 8, 6, bias=False), kernel_shape=(2, 2), strides=(2, 2))
    return net.head(net.node("flatten", y), 6 * 9)


def residual() -> Graph:
    net = Net()
    y = net.node("relu", net.conv(net.x, 3, 8))
    z = net.node("add", net.conv(net.node("relu", net.conv(y, 8, 4)), 4, 8), y)
    return net.head(net.node("flatten", net.node("global_average_pool", z)), 8)


def depthwise() -> Graph:
    net = Net()
    y = net.conv(net.conv(net.x, 3, 8), 1, 8, group=8)
    normal = [net.builder.constant(np.abs(RNG.standard_normal(8)).astype(np.float32)) for _ in range(4)]
    y = net.node("clip", net.node("batch_normalization", y, *normal), net.builder.constant(np.float32(0)))
    y = net.node("add", y, net.builder.constant(np.zeros((8, 1, 1), np.float32)))
    shape = net.builder.constant(np.array([-1, 8], np.int64))
    return net.head(net.node("reshape", net.node("global_average_pool", net.conv(y, 8, 8, 1)), shape), 8)


def concatenated() -> Graph:
    net = Net()
    y = net.conv(net.x, 3, 6)
    joined = net.node("concat", net.conv(y, 6, 5), net.conv(y, 6, 4, 1), y, axis=1)
    axes = net.builder.constant(np.array([2, 3], np.int64))
    return net.head(net.node("reduce_mean", net.conv(joined, 15, 7), axes, keepdims=0), 7)


def gated() -> Graph:
    """Squeeze and excitation: gates of one pixel are spread over the image."""
    net = Net()
    y = net.conv(net.x, 3, 8)
    gate = net.conv(net.node("relu", net.conv(net.node("global_average_pool", y), 8, 4, 1)), 4, 8, 1)
    y = net.node("mul", y, net.node("sigmoid", gate))
    return net.head(net.node("flatten", net.node("global_average_pool", y)), 8)


def padded() -> Graph:
    """A shortcut that adds channels of zeros."""
    net = Net()
    y = net.conv(net.x, 3, 4)
    wide = net.node("pad", y, net.builder.constant(np.array([0, 2, 0, 0, 0, 2, 0, 0], np.int64)))
    z = net.node("add", net.conv(net.conv(y, 4, 6), 6, 8), wide)
    return net.head(net.node("flatten", net.node("global_average_pool", z)), 8)


NETS: list[Callable[[], Graph]] = [plain, residual, depthwise, concatenated, gated, padded]


def silenced(graph: Graph, channels: Channels, gone: Any) -> Graph:
    """The graph with everything that takes some channels multiplied by 0."""
    constants = dict(graph.constants)
    for use in channels.uses:
        if use.role == "takes":
            shape = [-1 if axis == use.axis else 1 for axis in range(constants[use.constant].ndim)]
            constants[use.constant] = constants[use.constant] * (~np.isin(use.atoms, gone)).reshape(shape)
    return graph.replace(
        constants={name: array.astype(graph.constants[name].dtype) for name, array in constants.items()}
    )


@pytest.mark.parametrize("net", NETS)
def test_channels_that_nobody_listens_to_can_go(net: Callable[[], Graph]) -> None:
    graph = net()
    channels = find_channels(graph)
    assert channels.families
    x = RNG.standard_normal((2, 3, 6, 6)).astype(np.float32)
    every = np.concatenate([roots[::2] for roots in channels.families.values()])
    for gone in (*(roots[1:] for roots in channels.families.values()), every):
        smaller = prune_channels(graph, channels, gone.tolist())
        verify(smaller)
        (expected,) = evaluate(silenced(graph, channels, gone), {"x": x}).values()
        (got,) = evaluate(smaller, {"x": x}).values()
        np.testing.assert_allclose(got, expected, atol=1e-4)
        before, after = (sum(array.size for array in one.constants.values()) for one in (graph, smaller))
        assert after < before


def test_groups_are_those_that_go_together() -> None:
    sizes = {net.__name__: sorted(len(roots) for roots in find_channels(net()).families.values()) for net in NETS}
    assert sizes == {
        "plain": [6, 8],
        "residual": [4, 8],  # the first convolution, and the last of the block, go together
        "depthwise": [8, 8],
        "concatenated": [4, 5, 6, 7],
        "gated": [4, 8],
        "padded": [4, 6],  # the channels that meet zeros stay
    }


def test_what_an_unknown_op_reads_stays() -> None:
    net = Net()
    y = net.node("transpose", net.conv(net.x, 3, 8), perm=(0, 2, 3, 1))
    assert not find_channels(net.builder.graph([y])).families


def test_weights_that_two_layers_share_stay() -> None:
    net = Net()
    weight = net.constant(3, 3, 1, 1)
    y = net.node("conv", net.node("conv", net.x, weight), weight)
    assert not find_channels(net.head(net.node("flatten", net.node("global_average_pool", y)), 3)).families
