"""What is written is valid ONNX, reads back to the same outputs, and appears whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnx_models import model, node_model, tensor, value

from thew import models, nn
from thew.errors import InputError, UnsupportedError
from thew.ir import Graph, GraphBuilder
from thew.onnx import export_onnx, read
from thew.onnx.writer import to_model, write_atomically
from thew.ops.interpret import evaluate

RNG = np.random.default_rng(0)
EPSILON = float(np.finfo(np.float32).eps)


def round_trip(graph: Graph, arrays: dict[str, Any]) -> Any:
    """The ModelProto, after it gave the graph's outputs both by Thew's references and by ONNX's."""
    made = to_model(graph)
    onnx.checker.check_model(made, full_check=True)
    wanted = list(evaluate(graph, arrays).values())
    again = read(made.SerializeToString())
    assert list(again.outputs) == list(graph.outputs)
    for found in (list(evaluate(again, arrays).values()), ReferenceEvaluator(made).run(None, arrays)):
        for one, other in zip(found, wanted, strict=True):
            # Thew's references compute in fp64 and round once, ONNX's in fp32: the longest sums here have 300 terms.
            np.testing.assert_allclose(one, other, rtol=300 * EPSILON, atol=300 * EPSILON * np.abs(other).max())
    return made


LAYERS: dict[str, tuple[list[Any], tuple[int, ...]]] = {
    "conv, norm, relu": ([nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()], (2, 3, 6, 6)),
    "depthwise": ([nn.Conv2d(4, 8, 3, stride=2, groups=4)], (1, 4, 7, 7)),
    "transposed": ([nn.ConvTranspose2d(3, 2, 3, stride=2)], (1, 3, 4, 4)),
    "pools": ([nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten()], (1, 3, 9, 9)),
    "linear": ([nn.Linear(12, 5), nn.Softmax(1)], (3, 12)),
    "log_softmax": ([nn.LogSoftmax(1)], (3, 12)),
    "activations": ([nn.ELU(), nn.LeakyReLU(0.2), nn.Hardswish(), nn.Hardsigmoid(), nn.Softplus(), nn.Mish()], (2, 6)),
    "silu, gelu": ([nn.SiLU(), nn.GELU(), nn.GELU(approximate="tanh"), nn.ReLU6(), nn.Sigmoid(), nn.Tanh()], (2, 6)),
    "norms": ([nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.LocalResponseNorm(3)], (4, 4, 3, 3)),
    "layer norm": ([nn.LayerNorm(6)], (2, 6)),
    "shuffles": ([nn.PixelShuffle(2), nn.Upsample(scale_factor=2), nn.ZeroPad2d(1)], (1, 4, 2, 2)),
    "dropout": ([nn.Dropout(0.5), nn.PReLU()], (2, 3)),
}


@pytest.mark.parametrize("name", list(LAYERS))
def test_layers(name: str) -> None:
    layers, shape = LAYERS[name]
    graph = nn.Sequential(*layers).graph(shape)
    round_trip(graph, {"input": RNG.standard_normal(shape).astype(np.float32)})


def test_lenet_with_an_open_batch(tmp_path: Path) -> None:
    net = models.lenet5()
    export_onnx(net, tmp_path / "lenet5.onnx", input_shape=("n", 1, 28, 28))
    made = onnx.load(tmp_path / "lenet5.onnx")
    onnx.checker.check_model(made, full_check=True)
    x = RNG.standard_normal((3, 1, 28, 28)).astype(np.float32)
    (y,) = evaluate(net.graph(("n", 1, 28, 28)), {"input": x}).values()
    np.testing.assert_allclose(
        ReferenceEvaluator(made).run(None, {"input": x})[0], y, atol=400 * EPSILON * np.abs(y).max()
    )
    assert {item.name for item in made.graph.initializer} >= set(net.state_dict())
    assert made.opset_import[0].version == 17


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [
        ("relu", ()), ("clip", (0.0, 6.0)), ("clip", (-np.inf, 1.0)), ("leaky_relu", (0.3,)), ("elu", ()),
        ("silu", ()), ("hard_swish", ()), ("hard_sigmoid", (0.1, 0.4)), ("gelu", ()), ("gelu_tanh", ()),
        ("sigmoid", ()), ("tanh", ()), ("mish", ()), ("", ()),
    ],
)  # fmt: skip
@pytest.mark.parametrize("residual", [False, True])
def test_fused_forms_are_split(activation: str, parameters: tuple[float, ...], residual: bool) -> None:
    builder = GraphBuilder("fused")
    x = builder.input("x", "fp32", (1, 2, 4, 4))
    rest = [x] if residual else []
    weights = [
        builder.constant(RNG.standard_normal(shape).astype(np.float32)) for shape in ((2, 2, 1, 1), (2,), (4, 4), (4,))
    ]
    epilogue: dict[str, Any] = {"activation": activation, "activation_parameters": parameters} if activation else {}
    y = builder.node("conv", [x, *weights[:2], *rest], **epilogue)
    z = builder.node("matmul", [y, *weights[2:], *rest], **epilogue)
    out = builder.node("add", [z, y], **epilogue)
    made = round_trip(builder.graph([out]), {"x": RNG.standard_normal((1, 2, 4, 4)).astype(np.float32)})
    assert {"Conv", "MatMul", "Add"} <= {node.op_type for node in made.graph.node}


def test_bodies_capture_by_name() -> None:
    branches = {
        "then_branch": helper.make_graph([helper.make_node("Add", ["h", "c"], ["y"])], "then", [], [value("y", 3)]),
        "else_branch": helper.make_graph([helper.make_node("Identity", ["h"], ["y"])], "else", [], [value("y", 3)]),
    }
    nodes = [helper.make_node("Neg", ["x"], ["h"]), helper.make_node("If", ["go"], ["y"], **branches)]
    given = model(nodes, [value("x", 3), value("go", dtype=onnx.TensorProto.BOOL)], [value("y", 3)], [tensor("c", [5])])
    for go in (True, False):
        round_trip(read(given), {"x": np.arange(3, dtype=np.float32), "go": np.array(go)})


def test_foreign_ops_give_back_their_node() -> None:
    given = node_model(
        helper.make_node("StringConcat", ["x", "x"], ["y"]), {"x": np.array(["a", "b"], object)}, opset=20
    )
    made = round_trip_text(read(given))
    assert made.graph.node[0].op_type == "StringConcat"


def round_trip_text(graph: Graph) -> Any:
    made = to_model(graph)
    onnx.checker.check_model(made, full_check=True)
    x = np.array(["a", "b"], object)
    assert evaluate(read(made), {"x": x})["y"].tolist() == ["aa", "bb"]
    return made


@pytest.mark.parametrize(
    ("op_type", "attributes", "dtype", "opset"),
    [("Relu", {}, np.float32, 17), ("Gelu", {}, np.float32, 20), ("BitShift", {"direction": "LEFT"}, np.int8, 28)],
)
def test_the_oldest_operator_set_that_can_say_it(op_type: str, attributes: Any, dtype: Any, opset: int) -> None:
    arrays = {"x": np.ones(2, dtype)} | ({"s": np.ones(2, dtype)} if op_type == "BitShift" else {})
    given = node_model(helper.make_node(op_type, list(arrays), ["y"], **attributes), arrays, opset=28)
    assert to_model(read(given)).opset_import[0].version == opset


def test_what_onnx_cannot_say() -> None:
    builder = GraphBuilder("odd")
    x = builder.input("x", "fp32", (2,))
    with pytest.raises(UnsupportedError, match="no operator for 'nowhere'"):
        to_model(builder.graph([builder.node("nowhere", [x])]))


def test_input_shape_belongs_to_modules(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(InputError, match="input_shape must be given"):
        export_onnx(layer, tmp_path / "m.onnx")
    with pytest.raises(InputError, match="leave input_shape out"):
        export_onnx(layer.graph((1, 2)), tmp_path / "m.onnx", input_shape=(1, 2))
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.onnx"
    write_atomically(path, b"old")

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and [item.name for item in tmp_path.iterdir()] == ["m.onnx"]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"")
    (tmp_path / "b").write_bytes(b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
