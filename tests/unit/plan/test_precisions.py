"""Types by time: nodes against the casts between them."""

import pytest

from thew.ir import parse_graph
from thew.plan.precisions import cheapest_dtypes

GRAPH = """
graph g(%x: fp32[2]) -> (%d) {
  %a: fp32[2] = relu(%x) "a"
  %b: fp32[2] = relu(%a) "b"
  %c: fp32[2] = relu(%b) "c"
  %d: fp32[2] = relu(%c) "d"
}
"""


@pytest.mark.parametrize(
    ("gains", "chosen"),
    [
        ({"b": 1.5}, ""),  # two casts cost 2
        ({"b": 2.5}, "b"),
        ({"b": 1.5, "c": 1.5}, "bc"),  # two casts for both
        ({"a": 0.5, "c": 2.5}, "c"),
        ({"a": 1.5, "c": 2.5}, "abc"),  # the graph's input is cast as well
    ],
)
def test_casts_are_weighed_against_what_nodes_gain(gains, chosen):
    ways = {name: {"fp32": 10.0, "fp16": 10.0 - gains.get(name, -1.0)} for name in "abc"}
    cast = {"x": 0.6}
    found = cheapest_dtypes(parse_graph(GRAPH), "fp32", ways, lambda name, made, read: cast.get(name, 1.0))
    assert "".join(name for name, dtype in found.items() if dtype == "fp16") == chosen


def test_of_several_types_the_first_is_preferred_and_nodes_without_a_choice_are_wide():
    ways = {"b": dict.fromkeys(("fp64", "fp32", "fp16"), 1.0), "c": {"fp32": 1.0}}
    found = cheapest_dtypes(parse_graph(GRAPH.replace("fp32", "fp64")), "fp64", ways, lambda name, made, read: 1.0)
    assert found == {"b": "fp64", "c": "fp32"}
