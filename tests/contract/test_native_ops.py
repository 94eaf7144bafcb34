"""Every op with a candidate, drawn as for its reference, gives the same through a session: layouts, steps and all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_cases import Source
from training_cases import ALL as CASES

from thew import InferenceSession, ops
from thew.dtypes import from_numpy
from thew.ir import Graph, Node, TensorType, Value

# What lies outside a cast's target range is unspecified (its rows have tests of their own), and dropout is random.
ELSEWHERE = ("cast", "cast_like", "dropout")
NATIVE = sorted(name for name in CASES if ops.get(name).candidates and name not in ELSEWHERE)
# Where a NaN or infinity ends is open: algorithms multiply zeros, of padding, between the samples of a stride, or of a
# derivative, and shift by a mean (decision 24).
SPREADING = ("activation_grad", "batch_norm_grad", "batch_norm_moments", "batch_norm_sums", "conv", "conv_grad_input")
SPREADING += ("conv_grad_weight", "conv_transpose")
TERMS = 64  # of the longest sum that is drawn; each rounds once, and so do the few operations around it
EPSILON = {"fp64": 2.0**-52, "fp32": 2.0**-23, "fp16": 2.0**-10, "bf16": 2.0**-7}


def one_node(name: str, attributes: dict[str, Any], inputs: list[Any]) -> tuple[Graph, dict[str, Any]]:
    """A graph of one node; shapes, axes and the like are constants, and data its inputs."""
    names = tuple("" if value is None else f"x{i}" for i, value in enumerate(inputs))
    given_values = {f"x{i}": value for i, value in enumerate(inputs) if value is not None}
    is_data = {
        key: key == "x0" or (value.dtype.kind not in "iu" and name != "resize") for key, value in given_values.items()
    }
    outputs = 1 if name != "split" else attributes.get("num_outputs") or len(inputs[1])
    if ops.get(name).outputs[0] > 1 or ops.get(name).updates:
        outputs = len(ops.get(name).reference({**ops.get(name).attributes, **attributes}, *inputs))
    node = Node(name, names, tuple(f"y{i}" for i in range(outputs)), attributes, "n")
    feeds = {key: value for key, value in given_values.items() if is_data[key]}
    declared = tuple(Value(key, TensorType(from_numpy(value.dtype), value.shape)) for key, value in feeds.items())
    constants = {key: value for key, value in given_values.items() if not is_data[key]}
    return Graph("one", declared, node.outputs, (node,), constants), feeds


@pytest.mark.parametrize("name", NATIVE)
@settings(max_examples=25)
@given(data=st.data())
def test_session_agrees_with_reference(name: str, data: st.DataObject) -> None:
    attributes, inputs = CASES[name](Source(data.draw))
    while inputs and inputs[-1] is None:
        inputs.pop()
    if name == "clip":  # a bound that is NaN bounds nothing or everything; nobody specifies which
        inputs[1:] = [None if bound is None or bound != bound else bound for bound in inputs[1:]]
    if name in SPREADING:
        inputs = [
            x if x is None or x.dtype.kind not in "fV" else np.where(np.isfinite(x), x, 3).astype(x.dtype)
            for x in inputs
        ]
    if name == "batch_normalization":
        attributes["training_mode"] = 0
    graph, feeds = one_node(name, attributes, inputs)
    expected = ops.get(name).reference(attributes, *inputs)
    results = InferenceSession(graph).run(None, feeds)
    narrowest = max((EPSILON.get(from_numpy(x.dtype), 0.0) for x in feeds.values()), default=0.0)
    for got, wanted in zip(results, expected, strict=False):
        dtype = from_numpy(wanted.dtype)
        assert (from_numpy(got.dtype), got.shape) == (dtype, wanted.shape)
        if dtype not in EPSILON:
            np.testing.assert_array_equal(got, wanted)
            continue
        finite = np.abs(np.where(np.isfinite(wanted), wanted, 0).astype(np.float64))
        tolerance = TERMS * max(EPSILON[dtype], narrowest) * (1 + finite.max(initial=0))
        np.testing.assert_allclose(got.astype(np.float64), wanted.astype(np.float64), rtol=0, atol=tolerance)
