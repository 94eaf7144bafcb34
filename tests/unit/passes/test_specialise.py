import numpy as np
import pytest

from thew.errors import InputError, ShapeError, UnsupportedError
from thew.ir import GraphBuilder, TensorType
from thew.passes import specialise
from thew.passes.fold import Budget


def static(dtype, *shape):
    return TensorType(dtype, shape)


SHAPE_CHAIN = """
    graph g(%x: fp32[n,3,h,4]) -> (%z) {
      const %index: int64[1] = [0]
      const %rest: int64[1] = [-1]
      %t = relu(%x)
      %shape = shape(%t)
      %batch = gather(%shape, %index)
      %target = concat(%batch, %rest) {axis=0}
      %count = size(%t)
      %y = reshape(%t, %target)
      %z = identity(%y)
    }
    """


def test_shape_chains_vanish(read_graph):
    graph = specialise(read_graph(SHAPE_CHAIN), {"x": static("fp32", 2, 3, 5, 4)})
    assert [node.op for node in graph.nodes] == ["relu", "reshape", "identity"]
    np.testing.assert_array_equal(graph.constants["target"], [2, -1])
    assert graph.constants["count"] == 2 * 3 * 5 * 4
    assert graph.inputs[0].type == static("fp32", 2, 3, 5, 4)
    assert dict(graph.types) == {
        "t": static("fp32", 2, 3, 5, 4),
        "y": static("fp32", 2, 60),
        "z": static("fp32", 2, 60),
    }


def test_the_graph_given_is_left_as_it_was(read_graph):
    graph = read_graph(SHAPE_CHAIN)
    specialise(graph, {"x": static("fp32", 2, 3, 5, 4)})
    assert len(graph.nodes) == 7 and not graph.types and set(graph.constants) == {"index", "rest"}


def test_what_depends_on_data_stays_unknown(read_graph):
    graph = specialise(
        read_graph(
            """
            graph g(%x: fp32[n]) -> (%z, %w) {
              %places = non_zero(%x)
              %z = abs(%places)
              %w = abs(%x)
            }
            """
        ),
        {"x": static("fp32", 4)},
    )
    assert len(graph.nodes) == 3
    assert not graph.types["z"].is_static and graph.types["z"].dtype == "int64"
    assert graph.types["w"] == static("fp32", 4)


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ({}, r"input 'x': must be given as fp32\[n,3\], got none"),
        ({"x": static("fp64", 2, 3)}, "input 'x': dtype must be fp32, got fp64"),
        ({"x": static("fp32", 2)}, "input 'x': must have 2 dimensions as in .*, got fp32"),
        ({"x": static("fp32", 2, 4)}, "input 'x': extent of axis 1 must be 3 as in .*, got fp32"),
        (
            {"x": static("fp32", 2, 3), "y": static("fp32", 3)},
            "input 'y': extent 'n' of axis 0 must be 2 as in input 'x'",
        ),
        ({"x": static("fp32", 2, 3), "y": static("fp32", "n")}, "input 'y': must have numbers as extents, got"),
        ({"x": static("fp32", 2, 3), "w": static("fp32", 2)}, "input 'w': must be one of the model's, .*'x', 'y'"),
    ],
)
def test_inputs_that_do_not_fit(types, message, read_graph):
    graph = read_graph("graph g(%x: fp32[n,3], %y: fp32[n]) -> (%x, %y) {\n}\n")
    with pytest.raises(InputError, match=message):
        specialise(graph, types)


def test_input_of_any_shape(read_graph):
    graph = read_graph("graph g(%x: fp32[...]) -> (%y) {\n %y = exp(%x)\n}\n")
    assert specialise(graph, {"x": static("fp32", 2, 0)}).types["y"] == static("fp32", 2, 0)


def test_unknown_op_is_named(read_graph):
    graph = read_graph('graph g(%x: fp32[2]) -> (%y) {\n %y = frobnicate(%x) "layer1"\n}\n')
    with pytest.raises(UnsupportedError, match="frobnicate 'layer1'"):
        specialise(graph, {"x": static("fp32", 2)})


@pytest.mark.parametrize(
    "node",
    [
        'matmul(%x, %x) "layer1"',
        'conv(%x, %x) {strides=[0, 0]} "layer1"',
        'transpose(%x) {perm=[0, 7]} "layer1"',
        'reshape(%x, %f) "layer1"',
        'concat(%x, %x) {axis="one"} "layer1"',
        'gather(%x) "layer1"',
    ],
)
def test_errors_name_the_node(node, read_graph):
    graph = read_graph(f"graph g(%x: fp32[2,3]) -> (%y) {{\n const %f: fp32[2] = [3.0, 2.0]\n %y = {node}\n}}\n")
    with pytest.raises(ShapeError, match="layer1"):
        specialise(graph, {"x": static("fp32", 2, 3)})


def test_large_results_are_not_folded():
    """A hostile model of a few bytes asks for a terabyte: nothing of the kind is allocated."""
    builder = GraphBuilder("bomb")
    builder.input("x", "fp32", (1,))
    huge = builder.node("constant_of_shape", [builder.constant(np.array([1 << 20, 1 << 18]))])
    graph = specialise(builder.graph([huge]), {"x": static("fp32", 1)})
    assert [node.op for node in graph.nodes] == ["constant_of_shape"]
    assert graph.types[huge] == static("fp32", 1 << 20, 1 << 18)


def test_budget_is_kept_to_the_byte():
    builder = GraphBuilder("g")
    z = builder.node("constant_of_shape", [builder.constant(np.array([256]))])
    graph = builder.graph([z])
    assert not specialise(graph, {}, Budget(result_bytes=1024)).nodes
    assert specialise(graph, {}, Budget(result_bytes=1023)).nodes


def test_long_sums_are_not_folded():
    builder = GraphBuilder("g")
    a = builder.constant(np.ones((64, 64), np.float32))
    graph = builder.graph([builder.node("matmul", [a, a])])
    assert not specialise(graph, {}, Budget(flops=2 * 64**3)).nodes
    assert specialise(graph, {}, Budget(flops=2 * 64**3 - 1)).nodes


def test_impure_nodes_are_not_folded(read_graph):
    text = (
        "graph g() -> (%y) {\n const %a: fp32[1] = [1.0]\n const %yes: bool[] = [true]\n %y = dropout(%a, _, %yes)\n}\n"
    )
    assert len(specialise(read_graph(text), {}).nodes) == 1


def test_size_of_what_is_too_large_for_an_array(read_graph):
    """`size` needs no array, however large the value."""
    graph = read_graph("graph g(%x: bool[n,n]) -> (%y) {\n %y = size(%x)\n}\n")
    assert specialise(graph, {"x": static("bool", 1 << 30, 1 << 30)}).constants["y"] == 1 << 60
