"""Gradients are read in the type that they were computed in."""

from thew.passes.narrow_gradients import narrow_gradients

GRAPH = """
graph g(%w: fp32[4], %g: fp16[4], %d: fp64[4], %hyper: fp64[4], %one: fp64[1]) -> (%next, %factor, %other) {
  %wide: fp32[4] = cast(%g) {to="fp32"} "wide"
  %narrow: fp32[4] = cast(%d) {to="fp32"} "narrow"
  %factor: fp64[1], %squares: fp64[2] = unscale_check(%one, %one, %wide, %narrow) "check"
  %next: fp32[4] = update_sgd(%w, %wide, %hyper, %factor) "update"
  %other: fp32[4] = update_sgd(%w, %narrow, %hyper, %factor) "rounded"
}
"""


def test_casts_that_widen_are_passed_by_and_those_that_round_are_not(read_graph):
    read = {node.name: node.inputs for node in narrow_gradients(read_graph(GRAPH)).nodes if node.op != "cast"}
    assert read == {
        "check": ("one", "one", "g", "narrow"),
        "update": ("w", "g", "hyper", "factor"),
        "rounded": ("w", "narrow", "hyper", "factor"),
    }
