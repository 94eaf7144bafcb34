"""Nodes in the types that they are given: what is cast, and what is not."""

import pytest

from thew.passes.narrow_training import may_narrow, narrow_training

GRAPH = """
graph g(%x: fp32[16,24], %w: fp32[24,8], %v: fp32[8,8]) -> (%z) {
  %y: fp32[16,8] = matmul(%x, %w) "y"
  %r: fp32[16,8] = relu(%y) "r"
  %s: fp32[16,8] = softmax(%r) "s"
  %z: fp32[16,8] = matmul(%s, %v) "z"
}
"""
WIDENED = """
graph g(%p: fp32[4,6], %w: fp64[6,2]) -> (%y) {
  %x: fp64[4,6] = cast(%p) {to="fp64"} "x"
  %y: fp64[4,2] = matmul(%x, %w) "y"
}
"""


def casts(graph):
    return [(*node.inputs, *node.outputs) for node in graph.nodes if node.op == "cast"]


def test_values_are_cast_once_where_a_neighbour_is_of_another_type(read_graph):
    graph = read_graph(GRAPH)
    assert [may_narrow(graph, node, "fp32") for node in graph.nodes] == [True, True, False, True]
    after = narrow_training(graph, "fp32", {"y": "bf16", "r": "bf16"})
    assert casts(after) == [("x", "x.bf16"), ("w", "w.bf16"), ("r", "r.fp32")]
    assert {name: after.type_of(name).dtype for name in ("y", "r", "s", "z")} == {
        "y": "bf16", "r": "bf16", "s": "fp32", "z": "fp32"
    }  # fmt: skip


def test_outputs_keep_their_type(read_graph):
    after = narrow_training(read_graph(GRAPH), "fp32", {"z": "fp16"})
    assert casts(after) == [("s", "s.fp16"), ("v", "v.fp16"), ("z.fp16", "z")] and after.type_of("z").dtype == "fp32"


@pytest.mark.parametrize(
    ("dtype", "wanted"), [("fp32", [("w", "w.fp32")]), ("fp16", [("p", "x.fp16"), ("w", "w.fp16")])]
)
def test_what_was_widened_is_read_as_it_was(read_graph, dtype, wanted):
    after = narrow_training(read_graph(WIDENED), "fp64", {"y": dtype})
    assert casts(after) == [("p", "x"), *wanted, (f"y.{dtype}", "y")]
