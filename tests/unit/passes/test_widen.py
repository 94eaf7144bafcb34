"""Widening computes what the references compute in fp64, and gives what the caller expects."""

from __future__ import annotations

import numpy as np

from thew.ir import GraphBuilder, verify
from thew.ops.interpret import evaluate
from thew.passes.widen import widen


def doubled(name):
    """x + a constant, as a body that captures x."""
    b = GraphBuilder(name)
    x = b.input("x", "fp32", (3,))
    return b.graph([b.node("div", [x, b.constant(np.full(3, 3, np.float32))])])


def test_text():
    b = GraphBuilder("g")
    x = b.input("x", "fp32", ("n", 2))
    w = b.constant(np.array([1, 2], np.float32), "w")
    graph = b.graph([b.node("add", [x, w], "y"), w])
    wide = widen(graph)
    verify(wide)
    values = np.array([[3, 4]], np.float32)
    y, constant = evaluate(wide, {"x": values}).values()
    assert y.dtype == constant.dtype == np.float32
    np.testing.assert_array_equal(y, [[4, 6]])
    assert [node.op for node in wide.nodes] == ["cast", "add", "cast"]


def test_outputs_keep_their_dtype():
    """Whether the graph says what they are or not."""
    b = GraphBuilder("g")
    x = b.input("x", "fp32", (2, 3))
    graph = b.graph(
        [b.node("arg_max", [x], "place", axis=1), b.node("greater", [x, x], "mask"), b.node("exp", [x], "y")]
    )
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for known in (graph, graph.replace(types={})):
        found = evaluate(widen(known), {"x": x})
        assert [found[name].dtype for name in ("place", "mask", "y")] == [np.int64, np.bool_, np.float32]


def test_bodies_of_control_flow_are_widened():
    b = GraphBuilder("g")
    x, condition = b.input("x", "fp32", (3,)), b.input("condition", "bool", ())
    bodies = {"then_branch": doubled("then"), "else_branch": doubled("else")}
    chosen = b.node("if", [condition, x], captured=1, **bodies)
    graph = b.graph([b.node("mul", [chosen, b.constant(np.full(3, 3, np.float32))], "y")])
    x = np.array([1, 5, 7], np.float32)
    (got,) = evaluate(widen(graph), {"x": x, "condition": np.array(True)}).values()
    np.testing.assert_array_equal(got, (x.astype(np.float64) / 3 * 3).astype(np.float32))
