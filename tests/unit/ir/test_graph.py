import numpy as np
import pytest

from thew.ir import Graph, GraphBuilder, Node, TensorType, Value
from thew.ir.graph import as_constant


@pytest.fixture
def graph():
    builder = GraphBuilder("g")
    x = builder.input("x", "fp32", ("n", 4))
    c = builder.constant(np.zeros(4, np.float32), "c")
    y = builder.node("add", [x, c])
    z = builder.node("mul", [y, y])
    return builder.graph([z, y])


def test_producers_and_consumers(graph):
    assert graph.producers["add"].op == "add" and "x" not in graph.producers
    assert [node.op for node in graph.consumers["add"]] == ["mul", "mul"]
    assert "mul" not in graph.consumers


def test_use_count_counts_outputs(graph):
    assert graph.use_count("add") == 3
    assert graph.use_count("mul") == 1
    assert graph.use_count("nothing") == 0


def test_type_of_inputs_constants_and_nodes(graph):
    known = graph.replace(types={"add": TensorType("fp32", (1, 4))})
    assert known.type_of("x") == TensorType("fp32", ("n", 4))
    assert known.type_of("c") == TensorType("fp32", (4,))
    assert known.type_of("add") == TensorType("fp32", (1, 4))
    assert known.type_of("mul") is None


def test_fresh_names_are_free():
    names = Graph("g", (Value("v0", TensorType("fp32", ())),), (), (Node("exp", ("v0",), ("v2",)),), {}).fresh_names()
    assert [next(names), next(names)] == ["v1", "v3"]


def test_nothing_can_be_changed_in_place(graph):
    with pytest.raises(AttributeError):
        graph.name = "h"
    with pytest.raises(TypeError):
        graph.constants["d"] = np.zeros(1)
    with pytest.raises(TypeError):
        graph.nodes[0].attributes["axis"] = 1


def test_changes_make_copies(graph):
    node = graph.nodes[0].with_attributes(activation="relu")
    assert node.attributes["activation"] == "relu" and not graph.nodes[0].attributes
    assert graph.replace(name="h").nodes is graph.nodes


def test_absent_inputs():
    node = Node("conv", ("x", "w", "", "r"), ("y",))
    assert [node.input(index) for index in range(5)] == ["x", "w", "", "r", ""]


def test_constants_share_memory_and_are_read_only():
    array = np.ones(3)
    constant = as_constant(array)
    assert np.shares_memory(array, constant) and array.flags.writeable and not constant.flags.writeable


def test_graphs_are_equal_only_to_themselves(graph):
    """Comparing weights would be slow, and ambiguous where there are NaNs."""
    assert graph == graph and graph != graph.replace()
    assert len({graph, graph}) == 1


def test_types_print():
    assert str(TensorType("fp32", ("n", 3))) == "fp32[n,3]"
    assert str(TensorType("int8", None)) == "int8[...]"
    assert TensorType("fp32", ()).is_static and not TensorType("fp32", ("n",)).is_static
    assert not TensorType("fp32", None).is_static


def test_builder_names_what_has_no_name():
    builder = GraphBuilder("g")
    x = builder.input("x", "fp32", None)
    assert builder.input("x", "fp32", None) == "x_1"
    assert [builder.node("exp", [x]), builder.node("exp", [x]), builder.node("exp", [x], "late")] == [
        "exp",
        "exp_1",
        "late",
    ]
    assert builder.constant(1.0) == "constant"
    assert builder.nodes("split", [x], 2) == ("split", "split_1")
    builder.append(Node("relu", (x,), ("mine",)), [TensorType("fp32", (1,))])
    assert builder.unique("mine") == "mine_1"
    assert builder.graph(["mine"]).types["mine"] == TensorType("fp32", (1,))
