"""Forms of older operator sets, against what they mean in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_models import run_node, tensor

from thew.errors import ModelError
from thew.onnx import read

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 9
IMAGES = np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4)


def softmax(x: Any, axes: tuple[int, ...]) -> Any:
    powers = np.exp(x - x.max(axis=axes, keepdims=True))
    return powers / powers.sum(axis=axes, keepdims=True)


def padded(x: Any, *widths: tuple[int, int], **options: Any) -> Any:
    return np.pad(x, widths, **options)


def node(op_type: str, inputs: str = "x", outputs: str = "y", **attributes: Any) -> Any:
    return helper.make_node(op_type, inputs.split(), outputs.split(), **attributes)


# node, operator set, input, further constants, expected outputs
CASES: dict[str, tuple[Any, int, Any, list[Any], list[Any]]] = {
    "clip": (node("Clip", min=-2.0, max=3.0), 6, X, [], [np.clip(X, -2, 3)]),
    "clip, one bound": (node("Clip", max=3.0), 10, X, [], [np.minimum(X, 3)]),
    "clip, no bound": (node("Clip"), 10, X, [], [X]),
    "squeeze": (node("Squeeze", axes=[0]), 11, X[:1], [], [X[0]]),
    "squeeze, all": (node("Squeeze"), 11, X[:1, :, :1], [], [X[0, :, 0]]),
    "unsqueeze": (node("Unsqueeze", axes=[0, 4]), 11, X, [], [X[None, ..., None]]),
    "reduce_sum": (node("ReduceSum", axes=[1], keepdims=0), 11, X, [], [X.sum(1)]),
    "reduce_mean": (node("ReduceMean", axes=[-1, 0]), 13, X, [], [X.mean((0, 2), keepdims=True)]),
    "reduce_max, all": (node("ReduceMax", keepdims=0), 11, X, [], [X.max()]),
    "slice": (node("Slice", axes=[1, 2], starts=[1, -3], ends=[9, -1]), 9, X, [], [X[:, 1:, -3:-1]]),
    "slice, first axes": (node("Slice", starts=[1], ends=[2]), 9, X, [], [X[1:2]]),
    "pad": (
        node("Pad", pads=[0, 1, 0, 0, 0, 2], value=7.0), 2, X, [],
        [padded(X, (0, 0), (1, 0), (0, 2), constant_values=7)],
    ),
    "pad, reflect": (
        node("Pad", pads=[0, 0, 1, 0, 0, 2], mode="reflect"), 10, X, [],
        [padded(X, (0, 0), (0, 0), (1, 2), mode="reflect")],
    ),
    "split": (node("Split", outputs="y z", axis=2, split=[1, 3]), 11, X, [], [X[..., :1], X[..., 1:]]),
    "split, equal": (node("Split", outputs="y z", axis=2), 11, X, [], [X[..., :2], X[..., 2:]]),
    "split, opset 13, equal": (node("Split", outputs="y z", axis=2), 13, X, [], [X[..., :2], X[..., 2:]]),
    "concat": (node("Concat", inputs="x x"), 3, X, [], [np.concatenate([X, X], 1)]),
    "reshape": (node("Reshape", shape=[0, -1]), 1, X, [], [X.reshape(2, 12)]),
    "softmax, middle": (node("Softmax", axis=1), 11, X / 9, [], [softmax(X / 9, (1, 2))]),
    "softmax, default": (node("Softmax"), 8, X / 9, [], [softmax(X / 9, (1, 2))]),
    "softmax, first": (node("Softmax", axis=0), 11, X / 9, [], [softmax(X / 9, (0, 1, 2))]),
    "softmax, last": (node("Softmax", axis=-1), 11, X / 9, [], [softmax(X / 9, (2,))]),
    "log_softmax": (node("LogSoftmax", axis=1), 11, X / 9, [], [np.log(softmax(X / 9, (1, 2)))]),
    "dropout": (node("Dropout", ratio=0.3), 10, X, [], [X]),
    "dropout, test flag": (node("Dropout", is_test=1), 6, X, [], [X]),
    "top_k": (node("TopK", outputs="y i", k=2, axis=1), 9, X, [], [-np.sort(-X, 1)[:, :2], np.argsort(-X, 1)[:, :2]]),
    "upsample, attribute": (
        node("Upsample", scales=[1.0, 1.0, 2.0, 3.0]), 8, IMAGES, [], [IMAGES.repeat(2, 2).repeat(3, 3)],
    ),
    "upsample, two attributes": (
        node("Upsample", height_scale=2.0, width_scale=2.0), 1, IMAGES, [], [IMAGES.repeat(2, 2).repeat(2, 3)],
    ),
    "upsample, input": (
        node("Upsample", inputs="x s"), 9, IMAGES, [tensor("s", [1, 1, 2, 2])], [IMAGES.repeat(2, 2).repeat(2, 3)],
    ),
    "resize, first form": (
        node("Resize", inputs="x s"), 10, IMAGES, [tensor("s", [1, 1, 2, 2])], [IMAGES.repeat(2, 2).repeat(2, 3)],
    ),
    "scatter": (
        node("Scatter", inputs="x i u", axis=1), 9, X[0],
        [tensor("i", [[1], [0], [3]], np.int64), tensor("u", [[50], [60], [70]])],
        [np.array([[-9, 50, -7, -6], [60, -4, -3, -2], [-1, 0, 1, 70]], np.float32)],
    ),
    "cast by name": (node("Cast", to="INT32"), 1, X, [], [X.astype(np.int32)]),
    "prelu by channel": (
        node("PRelu", inputs="x s"), 6, X, [tensor("s", [1, 2, 3])],
        [np.where(X < 0, X * np.array([1, 2, 3], np.float32)[:, None], X)],
    ),
    "add at an axis": (
        node("Add", inputs="x b", broadcast=1, axis=1), 6, X, [tensor("b", [1, 2, 3])],
        [X + np.array([1, 2, 3], np.float32)[:, None]],
    ),
    "add, right aligned": (node("Add", inputs="x b", broadcast=1), 6, X, [tensor("b", [1, 2, 3, 4])], [X + np.r_[1:5]]),
    "relu with hint": (node("Relu", consumed_inputs=[0]), 1, X, [], [np.maximum(X, 0)]),
    "gemm broadcast": (
        node("Gemm", inputs="x w b", broadcast=1), 6, X[0], [tensor("w", np.eye(4)), tensor("b", [1, 2, 3, 4])],
        [X[0] + np.arange(1, 5, dtype=np.float32)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", list(CASES))
def test_form(case: str) -> None:
    made, opset, x, constants, expected = CASES[case]
    outputs = run_node(made, {"x": x}, constants, opset)
    for output, want in zip(outputs, expected, strict=False):
        # Sums of at most 24 terms of the order of the result.
        np.testing.assert_allclose(output, want, rtol=24 * np.finfo(np.float32).eps, atol=1e-6)


def test_batch_normalization_of_opset_7_is_inference() -> None:
    parameters = [
        tensor(name, values)
        for name, values in (("s", [1, 2, 3]), ("b", [0, 1, 2]), ("m", [1, 0, 1]), ("v", [1, 4, 9]))
    ]
    (y,) = run_node(node("BatchNormalization", inputs="x s b m v", epsilon=0.0), {"x": X}, parameters, 7)
    s, b, m, v = (np.array(values, np.float64)[:, None] for values in ([1, 2, 3], [0, 1, 2], [1, 0, 1], [1, 4, 9]))
    np.testing.assert_allclose(y, (X - m) / np.sqrt(v) * s + b, rtol=1e-6)


def test_group_normalization_of_opset_18_scales_by_group() -> None:
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 5)).astype(np.float32)
    constants = [tensor("s", [2, 3]), tensor("b", [0.5, -1])]
    (y,) = run_node(node("GroupNormalization", inputs="x s b", num_groups=2), {"x": x}, constants, 18)
    groups = x.astype(np.float64).reshape(2, 2, -1)
    wanted = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + 1e-5)
    wanted = wanted * np.array([2, 3])[:, None] + np.array([0.5, -1])[:, None]
    np.testing.assert_allclose(y, wanted.reshape(x.shape), atol=30 * np.finfo(np.float32).eps * np.abs(wanted).max())


def test_scan_of_opset_8_runs_over_a_batch() -> None:
    body = helper.make_graph(
        [node("Add", inputs="state item", outputs="next"), node("Identity", inputs="next", outputs="out")],
        "body",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("state", "item")],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("next", "out")],
    )
    made = helper.make_node("Scan", ["", "s", "x"], ["last", "all"], body=body, num_scan_inputs=1)
    x = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    last, every = run_node(made, {"s": np.zeros((2, 2), np.float32), "x": x}, opset=8)
    np.testing.assert_array_equal(every, x.cumsum(1))
    np.testing.assert_array_equal(last, x.sum(1))


@pytest.mark.parametrize("name", ["INT33", "STRUCT", ""])
def test_cast_to_an_unknown_name_is_refused(name: str) -> None:
    from onnx_models import node_model

    with pytest.raises(ModelError, match="must name an element type"):
        read(node_model(node("Cast", to=name), {"x": X}, opset=1))
