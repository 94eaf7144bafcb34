"""Which layers keep fp32 under `precision="auto"`, given what each takes in either precision."""

import numpy as np
import pytest

from thew.ir import GraphBuilder
from thew.passes.reduce_precision import ends_of, reduced_nodes
from thew.passes.specialise import specialise
from thew.plan import BUILT_IN
from thew.runtime.auto import MARGIN, kept_fp32

NAMES = ("first", "a", "b", "c", "last")
CAST = BUILT_IN.copy_seconds((1, 16, 28, 28), "fp32", 1, transposed=False)


def graph():
    """Five convolutions, the second of which is read by the fourth too."""
    b = GraphBuilder("net")
    weight = b.constant(np.ones((16, 16, 3, 3), np.float32))
    value, made = b.input("x", "fp32", (1, 16, 28, 28)), {}
    for name in NAMES:
        inputs = [value, weight, "", made["a"]] if name == "c" else [value, weight]
        value = made[name] = b.node("conv", inputs, name, pads=(1, 1, 1, 1))
    net = b.graph([value])
    return specialise(net, {value.name: value.type for value in net.inputs})


def test_the_ends_are_never_reduced() -> None:
    assert ends_of(graph(), "bf16") == {"first", "last"}
    assert reduced_nodes(graph(), "bf16") == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        ({}, ()),
        ({"b": MARGIN}, ()),
        ({"b": MARGIN + 0.1 * CAST}, ("b",)),  # though casts before and after it take longer
        ({"a": 2.0, "b": 2.0, "c": 2.0}, ("a", "b", "c")),
        ({"a": 0.99, "b": 0.99, "c": 0.99}, ("a", "b", "c")),  # no faster than what counts as noise
    ],
)
def test_layers_are_kept_unless_they_are_faster(after: dict[str, float], kept: tuple[str, ...]) -> None:
    net = graph()
    names = {node.outputs[0]: node.name for node in net.nodes}
    before = {names[name]: 1.0 for name in NAMES}
    reduced = {names[name]: after.get(name, 0.5) for name in NAMES}
    assert set(kept_fp32(net, "bf16", before, reduced, BUILT_IN, 1)) == set(kept)


def test_a_layer_is_kept_where_casts_cost_more_than_it_gains() -> None:
    net = graph()
    names = {node.outputs[0]: node.name for node in net.nodes}
    before = {names[name]: CAST for name in NAMES}
    after = {**before, names["b"]: 0.5 * CAST}  # half a cast gained, two added
    assert set(kept_fp32(net, "bf16", before, after, BUILT_IN, 1)) == {"a", "b", "c"}
