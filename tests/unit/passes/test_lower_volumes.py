from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from thew.autodiff import Extension, differentiate
from thew.errors import ShapeError
from thew.ir import Graph, Node, TensorType, Value
from thew.ops.interpret import evaluate
from thew.passes.infer import infer_node
from thew.passes.join_phases import join_phases
from thew.passes.lower_volumes import lower_volumes
from thew.passes.specialise import specialise


def one(op: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any]) -> Graph | None:
    """A graph of one node on inputs of these shapes, () for none; None where the op refuses it."""
    types = {f"x{i}": TensorType("fp64", shape) for i, shape in enumerate(shapes) if shape}
    names = tuple(f"x{i}" if shape else "" for i, shape in enumerate(shapes))
    node = Node(op, names, ("y",), attributes, "n")
    try:
        (found, *_) = infer_node(node, [types.get(name) for name in names], [None] * len(names))
    except ShapeError:
        return None
    assert found is not None
    inputs = tuple(Value(name, known) for name, known in types.items())
    return Graph("g", inputs, ("y",), (node,), {}, {"y": found})


def results(graph: Graph, integers: bool = False) -> np.ndarray:
    random = np.random.default_rng(0)
    draw = (lambda shape: random.integers(0, 3, shape).astype(float)) if integers else random.standard_normal
    return evaluate(graph, {value.name: draw(value.type.static_shape) for value in graph.inputs})["y"]


def volumes(graph: Graph) -> list[str]:
    """The ops that slide windows over volumes."""
    ops = ("conv", "conv_transpose", "max_pool", "average_pool", "global_max_pool", "global_average_pool")
    return [node.op for node in graph.nodes if node.op in ops and len(specialised(graph, node.inputs[0])) == 5]


def specialised(graph: Graph, name: str) -> tuple[int, ...]:
    known = specialise(graph, {value.name: value.type for value in graph.inputs}).type_of(name)
    assert known is not None
    return known.static_shape


def drawn(data: Any, low: int, high: int) -> tuple[int, ...]:
    return tuple(data.draw(st.integers(low, high)) for _ in range(3))


def geometry(data: Any) -> dict[str, Any]:
    if data.draw(st.booleans()):
        padding: dict[str, Any] = {"auto_pad": data.draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))}
    else:
        padding = {"pads": (*drawn(data, 0, 2), *drawn(data, 0, 2))}
    return {"strides": drawn(data, 1, 3), "dilations": drawn(data, 1, 2), **padding}


@settings(max_examples=50)
@given(st.data())
def test_convolutions(data):
    group, kernel = data.draw(st.integers(1, 2)), drawn(data, 1, 3)
    n, c, oc = (data.draw(st.integers(1, high)) for high in (2, 4, 3))
    shapes = [(n, c * group, *drawn(data, 2, 5)), (oc * group, c, *kernel)]
    how = {"group": group, **geometry(data), "activation": data.draw(st.sampled_from(["", "relu"]))}
    graph = one("conv", shapes, how)
    assume(graph is not None)
    if data.draw(st.booleans()):
        y = graph.type_of("y").static_shape
        residual = data.draw(st.sampled_from([(), y, (1, y[1], 1, 1, 1)]))
        graph = one("conv", [*shapes, (oc * group,), residual], how)
    lowered = lower_volumes(graph)
    assert volumes(lowered) == []
    # Sums of at most 4 · 27 products and two more.
    np.testing.assert_allclose(results(lowered), results(graph), rtol=0, atol=110 * 64 * 2.0**-52)


@settings(max_examples=50)
@given(st.data())
def test_pools(data):
    op = data.draw(st.sampled_from(["max_pool", "average_pool"]))
    how = {"kernel_shape": drawn(data, 1, 3), **geometry(data), "ceil_mode": data.draw(st.integers(0, 1))}
    if op == "average_pool":
        how["count_include_pad"] = data.draw(st.integers(0, 1))
    graph = one(op, [(data.draw(st.integers(1, 2)), 3, *drawn(data, 2, 6))], how)
    assume(graph is not None)
    lowered = lower_volumes(graph)
    assert volumes(lowered) == []
    with np.errstate(invalid="ignore", divide="ignore"):  # a window over pads alone has no average
        np.testing.assert_allclose(results(lowered), results(graph), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("op", ["global_average_pool", "global_max_pool"])
def test_global_pools(op):
    graph = one(op, [(2, 3, 4, 5, 6)], {})
    lowered = lower_volumes(graph)
    assert volumes(lowered) == []
    np.testing.assert_allclose(results(lowered), results(graph), rtol=1e-13)


@pytest.mark.parametrize(
    ("op", "shapes", "attributes"),
    [
        ("conv", [(1, 2, 4, 4), (3, 2, 3, 3)], {}),
        ("conv", [(0, 2, 4, 4, 4), (3, 2, 3, 3, 3)], {}),
        ("conv", [(1, 1, 2, 1, 1), (1, 1, 2, 1, 1)], {"dilations": (1 << 30, 1, 1), "pads": (1 << 30, 0, 0, 0, 0, 0)}),
        ("max_pool", [(1, 2, 4, 4)], {"kernel_shape": (2, 2)}),
    ],
)
def test_stays(op, shapes, attributes):
    graph = one(op, shapes, attributes)
    assert graph is not None and lower_volumes(graph) is graph


STEP = """
graph g(%x: fp64[2,2,5,6,6], %w: fp64[4,2,3,3,2], %v: fp64[4,1,3,2,2], %u: fp64[4,3,2,2,2], %b: fp64[3]) -> (%s) {
  const %axes: int64[5] = [0, 1, 2, 3, 4]
  %c = conv(%x, %w) {pads=[1, 1, 0, 1, 1, 1], strides=[2, 1, 1]}
  %m = max_pool(%c) {kernel_shape=[2, 2, 3], strides=[1, 2, 1], pads=[0, 0, 1, 1, 0, 1]}
  %d = conv(%m, %v) {group=4, pads=[1, 0, 1, 1, 0, 0]}
  %t = conv_transpose(%d, %u, %b) {strides=[2, 2, 2]}
  %a = average_pool(%t) {kernel_shape=[2, 3, 1], strides=[2, 1, 2]}
  %q = mul(%a, %a)
  %s = reduce_sum(%q, %axes) {keepdims=0}
}
"""


def test_gradients_are_those_of_the_definition(read_graph):
    graph = read_graph(STEP)
    types = {value.name: value.type for value in graph.inputs}
    random = np.random.default_rng(1)
    feeds = {name: random.standard_normal(known.static_shape) for name, known in types.items()}
    static = specialise(graph, types)
    lowered = specialise(lower_volumes(join_phases(static)), types)
    assert volumes(lowered) == []
    found = []
    for each in (static, lowered):
        extension = Extension(each)
        gradients = differentiate(extension, "s", list(feeds))
        values = evaluate(extension.graph(list(gradients.values())), feeds)
        found.append([values[gradients[name]] for name in feeds])
    for expected, got in zip(*found, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-11 * np.abs(expected).max())
