"""Reading whole models: inputs, constants, functions, control flow, foreign ops; and what is refused, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import INT64, model, node_model, run, tensor, value

from thew import ops
from thew.errors import Error, MemoryLimitError, ModelError, UnsupportedError
from thew.ir import parse_graph, print_graph
from thew.onnx import read

X = np.arange(6, dtype=np.float32).reshape(2, 3) - 2


def node(op_type: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    return helper.make_node(op_type, inputs.split(), outputs.split(), **attributes)


# What a graph is made of


def test_symbols_and_open_extents() -> None:
    made = model([node("Relu", "x", "y")], [value("x", "n", 3, -1)], [value("y", "n", 3, "k")])
    made.graph.input[0].type.tensor_type.shape.dim.add()
    assert read(made).inputs[0].type.shape == ("n", 3, "x_2", "x_3")
    assert read(made).type_of("y").shape == ("n", 3, "k")


def test_unknown_rank() -> None:
    made = model([node("Relu", "x", "y")], [value("x")], [value("y")])
    made.graph.input[0].type.tensor_type.ClearField("shape")
    assert read(made).inputs[0].type.shape is None


def test_initializers_among_the_inputs_are_constants() -> None:
    made = model(
        [node("Add", "x w", "y")], [value("x", 2, 3), value("w", 3)], [value("y", 2, 3)], [tensor("w", [1, 2, 3])]
    )
    assert [item.name for item in read(made).inputs] == ["x"]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"value_int": 3}, np.array(3, np.int64)),
        ({"value_ints": [1, 2]}, np.array([1, 2], np.int64)),
        ({"value_float": 0.5}, np.array(0.5, np.float32)),
        ({"value_floats": [0.5]}, np.array([0.5], np.float32)),
        ({"value_string": "a"}, np.array("a", object)),
        ({"value_strings": ["a", "b"]}, np.array(["a", "b"], object)),
        ({"value": tensor("t", X)}, X),
    ],
)
def test_constant_nodes(attributes: dict[str, Any], expected: Any) -> None:
    made = model([helper.make_node("Constant", [], ["y"], **attributes)], [], [onnx.ValueInfoProto(name="y")])
    graph = read(made)
    assert not graph.nodes and graph.constants["y"].dtype == expected.dtype
    np.testing.assert_array_equal(graph.constants["y"], expected)


def test_path_bytes_and_proto_are_the_same_model(tmp_path: Path) -> None:
    made = model([node("Relu", "x", "y")], [value("x", 2)], [value("y", 2)])
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    texts = {print_graph(read(source)) for source in (path, str(path), path.read_bytes(), made)}
    assert len(texts) == 1


def test_domain_ai_onnx_is_the_default_one() -> None:
    made = model([node("Relu", "x", "y", domain="ai.onnx")], [value("x", 2)], [value("y", 2)])
    made.opset_import[0].domain = "ai.onnx"
    assert read(made).nodes[0].op == "relu"


# Functions


def with_function(body: list[Any], call: Any, **options: Any) -> Any:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "f", ["a", "b"], ["r"], body, imports, **options)
    made = model([call], [value("x", 2, 3)], [value("y", 2, 3)], functions=[function], imports=imports[1:])
    return made


def test_function_is_expanded_with_its_attributes() -> None:
    leak = node("LeakyRelu", "a", "t")
    leak.attribute.add(name="alpha", type=1, ref_attr_name="slope")
    body = [leak, node("Add", "t b", "r")]
    given = with_function(body, node("f", "x x", "y", domain="own", slope=0.5), attributes=["slope"])
    np.testing.assert_array_equal(run(given, x=X)[0], np.where(X < 0, X / 2, X) + X)
    default = helper.make_attribute("slope", 0.25)
    left_out = with_function(body, node("f", "x x", "y", domain="own"), attribute_protos=[default])
    np.testing.assert_array_equal(run(left_out, x=X)[0], np.where(X < 0, X / 4, X) + X)


def test_two_calls_do_not_share_names() -> None:
    made = with_function([node("Mul", "a b", "t"), node("Add", "t b", "r")], node("f", "x x", "t", domain="own"))
    made.graph.node.append(node("f", "t x", "y", domain="own"))
    t = X * X + X
    np.testing.assert_array_equal(run(made, x=X)[0], t * X + X)


def test_function_that_gives_back_its_input() -> None:
    made = with_function([node("Relu", "a", "unused")], node("f", "x x", "y", domain="own"))
    made.functions[0].output[0] = "b"
    np.testing.assert_array_equal(run(made, x=X)[0], X)


def test_function_that_calls_itself_is_refused() -> None:
    made = with_function([node("f", "a b", "r", domain="own")], node("f", "x x", "y", domain="own"))
    with pytest.raises(ModelError, match="must not call itself"):
        read(made)


def test_functions_that_double_and_double_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thew.onnx.limits.MAX_NODES", 1000)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    made = model([node("f0", "x", "y", domain="own")], [value("x", 2)], [value("y", 2)], imports=imports[1:])
    for level in range(40):
        body = [node(f"f{level + 1}", "a", "t", domain="own"), node(f"f{level + 1}", "t", "r", domain="own")]
        made.functions.append(helper.make_function("own", f"f{level}", ["a"], ["r"], body, imports))
    made.functions.append(helper.make_function("own", "f40", ["a"], ["r"], [node("Relu", "a", "r")], imports))
    with pytest.raises(ModelError, match="at most 1000 nodes"):
        read(made)


def test_operator_without_op_is_expanded_where_ours_cover_its_body() -> None:
    assert ops.find("sequence_map") is None
    made = node_model(
        node("AffineGrid", "theta size", "y"),
        {"theta": np.ones((1, 2, 3), np.float32), "size": np.array([1, 1, 2, 2])},
        opset=20,
    )
    assert not any(item.op.startswith("onnx") for item in read(made).nodes)


# Control flow


def test_if_captures_values_and_constants() -> None:
    branches = {
        "then_branch": helper.make_graph([node("Add", "x c", "t")], "then", [], [value("t", 2, 3)]),
        "else_branch": helper.make_graph([node("Mul", "x h", "e")], "else", [], [value("e", 2, 3)]),
    }
    nodes = [node("Neg", "x", "h"), node("If", "go", "y", **branches)]
    made = model(nodes, [value("x", 2, 3), value("go", dtype=TensorProto.BOOL)], [value("y", 2, 3)], [tensor("c", 5)])
    np.testing.assert_array_equal(run(made, x=X, go=np.array(True))[0], X + 5)
    np.testing.assert_array_equal(run(made, x=X, go=np.array(False))[0], -X * X)
    graph = read(made)
    assert graph.nodes[-1].inputs == ("go", "x", "h")
    assert print_graph(parse_graph(print_graph(graph, data=True)), data=True) == print_graph(graph, data=True)


def loop(count: int | None, limit: float) -> Any:
    body = helper.make_graph(
        [
            node("Add", "v x", "w"),
            node("ReduceMax", "w", "m", keepdims=0),
            node("Less", "m limit", "go_on"),
            node("Identity", "w", "s"),
        ],
        "body",
        [value("i", dtype=INT64), value("go", dtype=TensorProto.BOOL), value("v", 2, 3)],
        [value("go_on", dtype=TensorProto.BOOL), value("w", 2, 3), value("s", 2, 3)],
    )
    constants = [tensor("limit", limit)] + ([] if count is None else [tensor("count", count, np.int64)])
    inputs = ["" if count is None else "count", "", "x"]
    made = helper.make_node("Loop", inputs, ["y", "all"], body=body)
    return model([made], [value("x", 2, 3)], [value("y", 2, 3), value("all", "k", 2, 3)], constants)


@pytest.mark.parametrize(("count", "limit", "iterations"), [(4, 1e9, 4), (None, 10, 3), (2, 10, 2), (0, 10, 0)])
def test_loop(count: int | None, limit: float, iterations: int) -> None:
    last, every = run(loop(count, limit), x=X)
    np.testing.assert_array_equal(last, X * (iterations + 1))
    np.testing.assert_array_equal(every, np.array([X * (k + 2) for k in range(iterations)]).reshape(iterations, 2, 3))


def test_loop_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thew.ops.control.MAX_ITERATIONS", 50)
    with pytest.raises(UnsupportedError, match="must end within 50"):
        run(loop(None, 1e30), x=X)


def test_scan_backwards() -> None:
    body = helper.make_graph(
        [node("Add", "s e", "n"), node("Identity", "n", "o")],
        "body",
        [value("s", 2), value("e", 2)],
        [value("n", 2), value("o", 2)],
    )
    made = helper.make_node(
        "Scan", ["z", "x"], ["y", "all"], body=body, num_scan_inputs=1, scan_input_axes=[1], scan_input_directions=[1]
    )
    made = model([made], [value("x", 2, 3)], [value("y", 2), value("all", 3, 2)], [tensor("z", [0, 0])])
    last, every = run(made, x=X)
    np.testing.assert_array_equal(every, X[:, ::-1].cumsum(1).T)
    np.testing.assert_array_equal(last, X.sum(1))


# Foreign ops


def test_foreign_op_stands_alone() -> None:
    made = node_model(node("Det", "x", "y"), {"x": np.eye(2, dtype=np.float32)})
    graph = read(made)
    if graph.nodes[0].op == "det":
        pytest.skip("Thew has det now; choose another operator")
    assert graph.nodes[0].op == "onnx.Det"
    again = parse_graph(print_graph(graph, data=True))
    op = ops.get(again.nodes[0].op)
    assert op.is_pure and op.reference(again.nodes[0].attributes, 3 * np.eye(2, dtype=np.float32))[0] == 9


def test_random_operators_are_not_pure() -> None:
    made = node_model(node("RandomNormal", "", "y", shape=[2]), {})
    assert not ops.get(read(made).nodes[0].op).is_pure


def test_attribute_that_our_op_does_not_know_makes_it_foreign() -> None:
    parameters = [tensor(name, [1, 1, 1]) for name in "sbmv"]
    made = node_model(node("BatchNormalization", "x s b m v", "y", spatial=0), {"x": X}, parameters, opset=8)
    assert read(made).nodes[0].op == "onnx.BatchNormalization"


def test_sequences_pass_between_foreign_ops() -> None:
    nodes = [node("SplitToSequence", "x", "s", axis=0), node("SequenceAt", "s one", "y")]
    made = model(nodes, [value("x", 2, 3)], [value("y", 1, 3)], [tensor("one", 1, np.int64)])
    np.testing.assert_array_equal(run(made, x=X)[0], X[1:])


# What is refused


def relu() -> Any:
    return model([node("Relu", "x", "y")], [value("x", 2)], [value("y", 2)])


def changed(change: Any) -> Any:
    made = relu()
    change(made)
    return made


BAD: dict[str, tuple[Any, type[Error], str]] = {
    "operator set": (
        lambda m: setattr(m.opset_import[0], "version", 29),
        UnsupportedError,
        "operator set must be 1 to 28",
    ),
    "domain": (lambda m: setattr(m.graph.node[0], "domain", "com.x"), ModelError, "domain 'com.x' must be among"),
    "operator": (lambda m: setattr(m.graph.node[0], "op_type", "Rely"), UnsupportedError, "must hold 'Rely'"),
    "inputs": (lambda m: m.graph.node[0].input.append("x"), ModelError, "Relu 'y': must have 1 to 1 inputs, got 2"),
    "absent input": (lambda m: m.graph.node[0].input.__setitem__(0, ""), ModelError, "input 0 must be given"),
    "attribute": (
        lambda m: m.graph.node[0].attribute.append(helper.make_attribute("axis", 1)),
        ModelError,
        "attributes must be among",
    ),
    "undefined": (lambda m: m.graph.node[0].input.__setitem__(0, "z"), ModelError, "'z' must be defined before"),
    "twice": (lambda m: m.graph.node.append(m.graph.node[0]), ModelError, "must be defined once"),
    "order": (lambda m: m.graph.node.insert(0, node("Relu", "y", "z")), ModelError, "must be defined before"),
    "output": (lambda m: m.graph.output.add(name="w"), ModelError, "output 'w'"),
    "no graph": (lambda m: m.ClearField("graph"), ModelError, "must hold a graph"),
    "no type": (lambda m: m.graph.input[0].ClearField("type"), ModelError, "input 'x': must have a type"),
    "extent": (
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", -7),
        ModelError,
        "extents must lie in",
    ),
}


@pytest.mark.parametrize("case", list(BAD))
def test_refused(case: str) -> None:
    change, error, words = BAD[case]
    with pytest.raises(error, match=words):
        read(changed(change).SerializeToString())


def test_attribute_of_another_type_is_refused() -> None:
    made = node_model(node("Softmax", "x", "y", axis=1.5), {"x": X})
    with pytest.raises(ModelError, match="'axis' must be of type INT"):
        read(made)


@pytest.mark.parametrize("data", [b"", b"\x00" * 10, b"not a model", relu().SerializeToString()[:-7]])
def test_no_model_at_all(data: bytes) -> None:
    with pytest.raises(ModelError, match="model"):
        read(data)


@pytest.mark.parametrize("name", ["missing.onnx", "."])
def test_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="must be a file"):
        read(tmp_path / name)


def test_text_that_is_not_utf8() -> None:
    data = relu().SerializeToString().replace(b"Relu", b"Re\xfflu"[:4])
    with pytest.raises(ModelError, match="must be UTF-8"):
        read(data)


def test_nesting_is_bounded() -> None:
    made = model([], [value("x", 2), value("go", dtype=TensorProto.BOOL)], [value("t", 2)])
    graph = made.graph
    for _ in range(300):
        outer = graph.node.add(op_type="If", input=["go"], output=["t"])
        graph = outer.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g
        graph.output.add(name="t")
    with pytest.raises(ModelError, match="nest at most"):
        read(made)


def test_memory_limit() -> None:
    made = model([node("Add", "x w", "y")], [value("x", 256)], [value("y", 256)], [tensor("w", np.ones(256))])
    assert read(made, memory_limit_bytes=1024).constants["w"].nbytes == 1024
    with pytest.raises(MemoryLimitError, match="raise memory_limit_bytes"):
        read(made, memory_limit_bytes=1023)


def test_import_stays_light() -> None:
    import subprocess
    import sys

    code = "import sys, thew, thew.onnx; assert 'onnx' not in sys.modules and 'google.protobuf' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
