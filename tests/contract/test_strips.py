"""Strips: a chain of steps run depth first must give, bit for bit, what its steps give one after the other.

The steps themselves are held to their definitions by their families' tests. Blocking is that of a small core, so that
small images already exceed its second-level cache.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import thew
from thew.ir import Graph, GraphBuilder
from thew.plan import Plan, PlanOptions

pytest.importorskip("thew.runtime.native", reason="the native module is not built")

RNG = np.random.default_rng(23)
ON = PlanOptions(fitted_blocking=False, winograd=False)
OFF = replace(ON, strips=False)


class Net:
    """A graph built layer by layer; `x` is what the last one gave."""

    def __init__(self, n: int, c: int, h: int, w: int) -> None:
        self.builder = GraphBuilder("net")
        self.x, self.c = self.builder.input("x", "fp32", (n, c, h, w)), c
        self.shape = (n, c, h, w)

    def conv(self, oc: int, k: int, stride: int = 1, group: int = 1, residual: str = "", act: str = "relu") -> Net:
        b, pad = self.builder, k // 2
        w = b.constant((RNG.standard_normal((oc, self.c // group, k, k)) / k).astype(np.float32))
        bias = b.constant(RNG.standard_normal(oc).astype(np.float32))
        attributes = {"pads": (pad,) * 4, "strides": (stride,) * 2, "group": group}
        self.x, self.c = b.node("conv", [self.x, w, bias], **attributes), oc
        if residual:
            self.x = b.node("add", [self.x, residual])
        if act:
            self.x = b.node(act, [self.x])
        return self

    def depthwise(self, k: int, stride: int = 1) -> Net:
        return self.conv(self.c, k, stride, group=self.c)

    def pool(self) -> Net:
        self.x = self.builder.node("max_pool", [self.x], kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
        return self

    def graph(self) -> Graph:
        return self.builder.graph([self.x])


def stem() -> Net:
    return Net(1, 3, 97, 75).conv(24, 3, 2).depthwise(3).conv(16, 1, act="")


def block() -> Net:
    net = Net(2, 24, 49, 37)
    return net.conv(96, 1).depthwise(3).conv(24, 1, residual="x", act="")


def halving() -> Net:
    return Net(1, 20, 61, 53).conv(70, 1).depthwise(5, 2).conv(33, 1)


def pooled() -> Net:
    return Net(1, 3, 115, 90).conv(64, 7, 2).pool()


def tail() -> Net:
    return Net(1, 130, 41, 50).depthwise(3).conv(40, 1).depthwise(3, 2)


def grouped() -> Net:
    return Net(1, 24, 61, 53).conv(72, 1).conv(72, 3, group=18).conv(24, 1)


def dense() -> Net:
    return Net(3, 16, 40, 44).conv(48, 3).pool()


NETS = (stem, block, halving, pooled, tail, grouped, dense)


def plan_of(session: thew.InferenceSession) -> Plan:
    return session.prepare().plans[0]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("make", NETS)
def test_strips_change_nothing(make, threads):
    net = make()
    graph = net.graph()
    fused = thew.InferenceSession(graph, threads=threads, options=ON)
    apart = thew.InferenceSession(graph, threads=threads, options=OFF)
    assert [step for step in plan_of(fused).steps if step.stages]
    assert not [step for step in plan_of(apart).steps if step.stages]
    x = RNG.standard_normal(net.shape).astype(np.float32)
    for _ in range(2):  # the second run finds the buffers of the first
        (got,), (expected,) = fused.run(None, {"x": x}), apart.run(None, {"x": x})
        np.testing.assert_array_equal(got, expected)


def test_a_plan_with_strips_survives_its_file(tmp_path):
    net = block()
    graph = net.graph()
    session = thew.InferenceSession(graph, options=ON)
    plan = plan_of(session)
    plan.save(tmp_path / "plan.json")
    loaded = Plan.load(tmp_path / "plan.json")
    assert loaded == plan and str(loaded) == str(plan)
    x = RNG.standard_normal(net.shape).astype(np.float32)
    again = thew.InferenceSession(graph, plan=loaded)
    np.testing.assert_array_equal(again.run(None, {"x": x})[0], session.run(None, {"x": x})[0])


def test_what_others_read_is_written():
    net = Net(1, 16, 64, 64).conv(96, 1)
    wide = net.x
    net.depthwise(3)
    graph = net.builder.graph([net.x, wide])
    steps = plan_of(thew.InferenceSession(graph, options=ON)).steps
    assert not [step for step in steps if step.stages]


def test_what_sees_the_whole_image_does_not_run_by_rows():
    net = Net(1, 64, 24, 24).conv(512, 1)  # more than the second level of a small core
    graph = net.builder.graph([net.builder.node("global_average_pool", [net.x])])
    x = RNG.standard_normal(net.shape).astype(np.float32)
    got, expected = (thew.InferenceSession(graph, options=options).run(None, {"x": x})[0] for options in (ON, OFF))
    np.testing.assert_array_equal(got, expected)
