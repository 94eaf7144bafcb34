"""Ops that move data: what the planner reads of them, edge cases of ONNX's rules, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from thew import ops
from thew.errors import ModelError, ShapeError
from thew.ir import Node, TensorType
from thew.ops import Call, call_of
from thew.ops.reduce import resolved_axes
from thew.ops.resize import resolved_axes as resized_axes
from thew.ops.shape import permutation, resolved_shape
from thew.ops.slice import resolved_pad, resolved_slice, split_sizes

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def test_reshape_resolves_zero_and_minus_one() -> None:
    assert resolved_shape(call_of("reshape", {}, (X, ints(0, -1)))) == (2, 12)
    empty = np.zeros((0, 3), np.float32)
    assert resolved_shape(call_of("reshape", {"allowzero": 1}, (empty, ints(3, 0)))) == (3, 0)
    assert resolved_shape(call_of("reshape", {}, (empty, ints(0, -1)))) == (0, 0)


def test_unknown_values_give_unknown_shapes() -> None:
    types = (TensorType("fp32", (2, 3)), TensorType("int64", (2,)))
    for op in ("reshape", "expand", "tile", "pad", "unsqueeze"):
        (found,) = ops.get(op).infer(Call(Node(op, ("x", "s"), ("y",), {}), types, (None, None)))
        assert found == TensorType("fp32", None)


def test_slice_clamps_as_onnx_does() -> None:
    found = resolved_slice(call_of("slice", {}, (X, ints(-1, 1), ints(-(2**63), 2**63 - 1), ints(2, 1), ints(-1, 2))))
    assert found == ((0, 1, 2), (1, 2, 1), (3, -1, 4))
    (y,) = ops.get("slice").reference({}, X, ints(-1, 1), ints(-(2**63), 2**63 - 1), ints(2, 1), ints(-1, 2))
    np.testing.assert_array_equal(y, X[:, 1::2, ::-1])


def test_split_sizes_of_uneven_parts() -> None:
    assert split_sizes(call_of("split", {"axis": 2, "num_outputs": 3}, (X,))) == (2, 2, 0)
    assert split_sizes(call_of("split", {"axis": 2}, (X, ints(1, 3)))) == (1, 3)


def test_pads_may_crop() -> None:
    node_inputs = (X, ints(0, -1, 0, 1), None, ints(0, -1))
    assert resolved_pad(call_of("pad", {}, node_inputs)) == ((0, 0), (0, 0), (-1, 1))
    (y,) = ops.get("pad").reference({"mode": "edge"}, *node_inputs)
    np.testing.assert_array_equal(y, X[:, :, [1, 2, 3, 3]])


@pytest.mark.parametrize("mode", ["edge", "reflect", "wrap"])
def test_pad_modes_are_numpys(mode: str) -> None:
    widths = [(0, 1), (7, 5), (3, 9)]  # wider than the axes
    flat = ints(*(low for low, _ in widths), *(high for _, high in widths))
    (y,) = ops.get("pad").reference({"mode": mode}, X, flat)
    np.testing.assert_array_equal(y, np.pad(X, widths, mode))  # type: ignore[call-overload]


def test_reduce_axes_and_their_defaults() -> None:
    assert resolved_axes(call_of("reduce_sum", {}, (X,))) == (0, 1, 2)
    assert resolved_axes(call_of("reduce_sum", {"noop_with_empty_axes": 1}, (X, ints()))) == ()
    assert resolved_axes(call_of("reduce_sum", {}, (X, ints(-1, 0)))) == (0, 2)
    assert resolved_axes(call_of("arg_max", {"axis": -1}, (X,))) == (2,)


def test_transpose_reverses_by_default() -> None:
    assert permutation(call_of("transpose", {}, (X,))) == (2, 1, 0)


def test_resize_rounds_extents_in_fp32() -> None:
    x = np.zeros((1, 10), np.float32)
    axes = resized_axes(call_of("resize", {}, (x, None, np.array([1, 0.7], np.float32))))
    assert axes is not None and axes[1].output == 7


def test_gather_checks_indices() -> None:
    (y,) = ops.get("gather").reference({"axis": 2}, X, ints(-1, 0))
    np.testing.assert_array_equal(y, X[:, :, [3, 0]])
    for bad in (4, -5):
        with pytest.raises(ModelError, match=rf"within \[-4, 3\], got {bad}"):
            ops.get("gather").reference({"axis": 2}, X, ints(bad))


def test_integer_division_truncates_and_modulo_floors() -> None:
    a, b = np.array([7, -7, 7, -7, 5], np.int32), np.array([2, 2, -2, -2, 0], np.int32)
    np.testing.assert_array_equal(ops.get("div").reference({}, a, b)[0], [3, -3, -3, 3, 0])
    np.testing.assert_array_equal(ops.get("mod").reference({}, a[:4], b[:4])[0], [1, 1, -1, -1])
    np.testing.assert_array_equal(ops.get("mod").reference({"fmod": 1}, a[:4], b[:4])[0], [1, -1, 1, -1])


def test_quantisation_rounds_halves_to_even_and_saturates() -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, 1e9, -1e9, np.inf, np.nan], np.float32)
    (y,) = ops.get("quantize_linear").reference({}, x, np.array(1, np.float32), np.array(10, np.uint8))
    np.testing.assert_array_equal(y, [10, 12, 12, 10, 255, 0, 255, 0])


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "rule"),
    [
        ("reshape", (X, ints(5, -1)), {}, "shape must keep the 24 elements"),
        ("reshape", (X, ints(-1, -1)), {}, "at most one -1"),
        ("expand", (X, ints(2, 3, 5)), {}, "shapes must broadcast"),
        ("expand", (X, ints(-2)), {}, "extents of at least 0"),
        ("tile", (X, ints(1 << 40, 1 << 40, 1)), {}, "fewer than 2\\^59 elements"),
        ("constant_of_shape", (ints(1 << 62),), {}, "fewer than 2\\^59 elements"),
        ("constant_of_shape", (ints(*[1] * 65),), {}, "at most 64 dimensions"),
        ("concat", (X, X[:, :2]), {"axis": 0}, "inputs must agree but for axis 0"),
        ("concat", (X,), {}, "axis must be within"),
        ("split", (X,), {"axis": 0}, "num_outputs must be given"),
        ("split", (X, ints(1, 2)), {"axis": 2}, "sum to 4"),
        ("slice", (X, ints(0), ints(1), ints(0, 1)), {}, "of one length"),
        ("pad", (X, ints(1, 2)), {}, "pads must be 6 numbers"),
        ("transpose", (X,), {"perm": (0, 1, 1)}, "differ from each other"),
        ("unsqueeze", (X, ints(7)), {}, "axes must be within"),
        ("squeeze", (X, ints(1)), {}, "must have extent 1"),
        ("reduce_sum", (X, ints(0, -3)), {}, "differ from each other"),
        ("add", (X, X.astype(np.int32)), {}, "must have one dtype, got fp32 and int32"),
        ("cast", (X,), {"to": "fp99"}, "attribute to"),
        ("matmul", (X, X), {}, "inner extents must agree"),
        ("softmax", (X,), {"axis": 3}, "axis must be within \\[-3, 2\\]"),
        ("softmax", (X,), {"axis": 1.5}, "attribute axis must be like its default"),
    ],
)
def test_refusals(op: str, inputs: tuple[Any, ...], attributes: dict[str, Any], rule: str) -> None:
    found = call_of(op, attributes, inputs)
    with pytest.raises(ShapeError, match=rf"^{op} '.*': .*{rule}"):
        ops.get(op).infer(
            Call(found.node.replace(outputs=("y", "z") if op == "split" else ("y",)), found.types, found.values)
        )
