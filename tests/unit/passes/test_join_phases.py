import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from thew.ir import Graph, Node, TensorType, Value
from thew.ops import conv
from thew.ops.interpret import evaluate
from thew.passes.editor import Editor
from thew.passes.fold_constants import fold_constants
from thew.passes.infer import infer_node
from thew.passes.join_phases import join_phases

W = np.random.default_rng(1).standard_normal((4, 1, 9, 9))


def transposed(x: tuple[int, ...], w: tuple[int, ...], bias: bool = True, **attributes: object) -> Graph | None:
    """A graph of one transposed convolution; None where the op refuses it."""
    given_shapes = {"x": x, "w": w, **({"b": (w[1] * int(attributes.get("group", 1)),)} if bias else {})}  # type: ignore[call-overload]
    types = {name: TensorType("fp64", shape) for name, shape in given_shapes.items()}
    node = Node("conv_transpose", tuple(types), ("y",), attributes, "n")  # type: ignore[arg-type]
    try:
        (found,) = infer_node(node, list(types.values()), [None] * len(types))
    except Exception as error:
        assert type(error).__name__ == "ShapeError"
        return None
    assert found is not None
    inputs = tuple(Value(name, known) for name, known in types.items())
    return Graph("g", inputs, ("y",), (node,), {}, {"y": found})


def results(graph: Graph) -> np.ndarray:
    random = np.random.default_rng(0)
    return evaluate(graph, {v.name: random.standard_normal(v.type.static_shape) for v in graph.inputs})["y"]


@settings(max_examples=60)
@given(st.data())
def test_any_geometry(data):
    rank, group = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
    draw = lambda low, high: tuple(data.draw(st.integers(low, high)) for _ in range(rank))  # noqa: E731
    kernel, stride = draw(1, 5), draw(1, 3)
    x, w = (data.draw(st.integers(1, 2)), 2 * group, *draw(1, 4)), (2 * group, data.draw(st.integers(1, 3)), *kernel)
    how = {"group": group, "strides": stride, "pads": (*draw(0, 3), *draw(0, 3)), "output_padding": draw(0, 2)}
    graph = transposed(x, w, data.draw(st.booleans()), **how)
    assume(graph is not None)
    joined = join_phases(graph)
    # Sums of at most 4 · 125 products.
    np.testing.assert_allclose(results(joined), results(graph), rtol=0, atol=500 * 64 * 2.0**-52)


@pytest.mark.parametrize(
    ("x", "w", "attributes"),
    [
        ((1, 2, 4, 4), (2, 32, 3, 3), {"strides": (2, 2)}),  # a phase fills its columns
        ((1, 2, 4, 4), (2, 1, 3, 3), {"strides": (2, 2), "group": 2}),  # depthwise kernels run it
        ((1, 2, 4, 4), (2, 1, 3, 3), {"strides": (2, 2), "dilations": (2, 2)}),
        ((1, 2, 4, 4), (2, 1, 3, 3), {"strides": (4, 4)}),  # phases that no tap reaches
        ((1, 2, 4, 4), (2, 1, 3, 3), {}),  # one phase
        ((1, 2, 4, 4), (2, 1, 4, 4), {"strides": (2, 2), "pads": (4, 4, 4, 4)}),  # cuts off whole windows
    ],
)
def test_stays(x, w, attributes):
    graph = transposed(x, w, **attributes)
    assert graph is not None and join_phases(graph) is graph


def test_phases_are_channels_of_the_smallest_windows():
    graph = transposed((1, 4, 6, 6), (4, 1, 9, 9), strides=(3, 3), pads=(4, 4, 4, 4), output_padding=(2, 2))
    after = fold_constants(join_phases(graph.replace(inputs=graph.inputs[:1], constants={"w": W, "b": np.ones(1)})))
    assert [node.op for node in after.nodes] == ["conv", "depth_to_space", "slice"]
    found = conv.window(Editor(after).call(after.nodes[0]))
    assert (found.kernel, found.output, found.pads) == ((3, 3), (7, 7), (1, 1, 2, 2))
