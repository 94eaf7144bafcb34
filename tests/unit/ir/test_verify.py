import numpy as np
import pytest

from thew.errors import ModelError
from thew.ir import Graph, GraphBuilder, Node, TensorType, Value, verify

X = Value("x", TensorType("fp32", (2,)))
EXP = Node("exp", ("x",), ("y",), {}, "e")


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (Graph("g", (X, X), (), ()), "value 'x': must be defined once, got 2"),
        (Graph("g", (X,), (), (), {"x": np.zeros(1)}), "value 'x': must be defined once, got 2"),
        (Graph("g", (X,), (), (EXP, EXP)), "value 'y': must be defined once, got 2"),
        (
            Graph("g", (X,), (), (Node("exp", ("y",), ("z",), {}, "f"), EXP)),
            "exp 'f': input 'y' must be defined before",
        ),
        (Graph("g", (X,), ("z",), (EXP,)), "graph 'g': output 'z' must be defined"),
        (Graph("g", (Value("", X.type),), (), ()), "every input must have a name"),
        (Graph("g", (X,), (), (Node("", ("x",), ("y",)),)), "must name its op"),
        (Graph("g", (X,), (), (Node("exp", ("x",), ("",), {}, "e"),)), "exp 'e': must define at least one value"),
        (
            Graph("g", (Value("x", TensorType("fp32", (-1,))),), (), ()),
            r"input 'x': extents must be at least 0, got fp32\[-1\]",
        ),
    ],
)
def test_each_rule(graph, message):
    with pytest.raises(ModelError, match=message):
        verify(graph)


def test_what_is_well_formed_passes():
    """Absent inputs and outputs, outputs that are inputs or constants, and unknown ops are all fine."""
    node = Node("anything", ("x", "", "c"), ("", "y"))
    verify(Graph("g", (X,), ("x", "c", "y", "y"), (node,), {"c": np.zeros(1)}))


def test_the_builder_verifies():
    builder = GraphBuilder("g")
    builder.append(Node("exp", ("nowhere",), ("y",)))
    with pytest.raises(ModelError, match="'nowhere'"):
        builder.graph(["y"])
