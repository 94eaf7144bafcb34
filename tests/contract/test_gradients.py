"""Every op's gradient against central differences in fp64, along a drawn direction through its references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from op_cases import Source
from training_cases import ALL

from thew import ops
from thew.autodiff import Extension, differentiate
from thew.dtypes import FLOATS, from_numpy
from thew.errors import UnsupportedError
from thew.ir import Graph, Node, TensorType, Value
from thew.ops import opdef
from thew.ops.interpret import evaluate

SURROGATES = {"straight_through"}  # whose gradient is not the slope, by intent
DIFFERENTIABLE = sorted(name for name in ALL if ops.get(name).grad is not None and name not in SURROGATES)
STEP = 1e-6
# Inputs that have no gradient, besides integers.
FIXED = {
    "clip": (1, 2),
    "dropout": (1, 2),
    "batch_normalization": (3, 4),
    "batch_norm_training": (3, 4),
    "pad": (2,),
    "resize": (1, 2, 3),
    "softmax_cross_entropy": (2,),
}
# Where a function is defined, and away from where its slope has no bound.
DOMAINS = {
    "log": lambda x: np.abs(x) + 0.1,
    "sqrt": lambda x: np.abs(x) + 0.1,
    "reciprocal": lambda x: x + np.copysign(0.5, x),
    "div": lambda x: x + np.copysign(0.5, x),
    "pow": lambda x: np.abs(x) + 0.1,
    "asin": lambda x: np.tanh(x) * 0.9,
    "acos": lambda x: np.tanh(x) * 0.9,
    "atanh": lambda x: np.tanh(x) * 0.9,
    "acosh": lambda x: np.abs(x) + 1.1,
    "tan": lambda x: np.tanh(x),
    "batch_normalization": lambda x: x,
}


class Fp64(Source):
    """Draws fp64 wherever floats are allowed, and no special values."""

    def one_of(self, *choices: Any) -> Any:
        return "fp64" if "fp64" in choices else super().one_of(*choices)

    def array(self, dtype: str, shape: tuple[int, ...]) -> Any:
        return self.random.normal(size=shape) if dtype in FLOATS else super().array(dtype, shape)


def drawn(name: str, source: Source) -> tuple[dict[str, Any], list[Any]]:
    attributes, inputs = ALL[name](source)
    while inputs and inputs[-1] is None:
        inputs.pop()
    if name == "batch_normalization":
        attributes["training_mode"] = 0
    attributes = {
        key: value for key, value in attributes.items() if name == "activation_grad" or "activation" not in key
    }
    domain = DOMAINS.get(name, lambda x: x)
    return attributes, [domain(v) if isinstance(v, np.ndarray) and v.dtype == np.float64 else v for v in inputs]


def one_node(name: str, attributes: dict[str, Any], inputs: list[Any]) -> tuple[Graph, list[str]]:
    """The node followed by a weighted sum of its first output, and the inputs that may have gradients."""
    names = tuple("" if value is None else f"x{i}" for i, value in enumerate(inputs))
    free = [
        f"x{i}"
        for i, value in enumerate(inputs)
        if value is not None and value.dtype == np.float64 and i not in FIXED.get(name, ())
    ]
    count = ops.get(name).outputs[1]
    if name == "split":
        count = attributes.get("num_outputs") or len(inputs[1])
    if name in ("batch_normalization", "layer_normalization", "max_pool"):
        count = 1
    node = Node(name, names, tuple(f"y{i}" for i in range(max(count, 1))), attributes, "n")
    types = [None if v is None else TensorType(from_numpy(v.dtype), v.shape) for v in inputs]
    found = ops.get(name).infer(ops.Call(node, tuple(types), tuple(inputs)))
    declared = tuple(Value(key, types[int(key[1:])]) for key in free)
    constants = {key: inputs[int(key[1:])] for key in names if key and key not in free}
    known = dict(zip(node.outputs, found, strict=True))
    return Graph("one", declared, node.outputs[:1], (node,), constants, known), free


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@settings(max_examples=10)
@given(data=st.data())
def test_gradient_is_the_slope(name: str, data: st.DataObject) -> None:
    source = Fp64(data.draw)
    attributes, inputs = drawn(name, source)
    fixed = FIXED[name] if name == "resize" else ()  # scales are fp32 whatever x is
    assume(all(v is None or i in fixed or v.dtype == np.float64 or v.dtype.kind in "iub" for i, v in enumerate(inputs)))
    graph, free = one_node(name, attributes, inputs)
    assume(free)
    values = {key: inputs[int(key[1:])] for key in free}
    shape = graph.types["y0"].static_shape
    weights = source.random.normal(size=shape)
    weighted = Node("mul", ("y0", "weights"), ("terms",))
    total = Node("reduce_sum", ("terms",), ("loss",), {"keepdims": 0})
    extension = Extension(graph.replace(constants={**graph.constants, "weights": weights}))
    for node in (weighted, total):
        extension.append(node)
    try:
        gradients = differentiate(extension, "loss", free)
    except UnsupportedError:  # steps of slices, regions of resizing
        assert name == "slice" or "crop" in attributes.get("coordinate_transformation_mode", "")
        return
    grown = extension.graph(["loss", *gradients.values()])
    found = evaluate(grown, values)
    assume(np.isfinite(found["loss"]))
    forward = grown.replace(outputs=("loss",))
    for key in free:
        direction = source.random.normal(size=values[key].shape)
        moved = [{**values, key: values[key] + sign * STEP * direction} for sign in (1, -1)]
        ahead, behind = (float(evaluate(forward, point)["loss"]) for point in moved)
        slope = (ahead - behind) / (2 * STEP)
        got = float(np.sum(found[gradients[key]] * direction)) if key in gradients else 0.0
        # Rounding of the loss over the step, and the third derivative over the step's square.
        size = 1 + np.abs(found["loss"]) + np.abs(weights).sum() * np.abs(direction).sum()
        assert abs(got - slope) <= 1e-6 * size, key


@pytest.mark.parametrize(
    ("scale", "mode", "nearest"),
    [
        (2.0, "asymmetric", "floor"),
        (2.3, "asymmetric", "floor"),
        (3.0, "asymmetric", "ceil"),
        (2.6, "half_pixel", "floor"),
    ],
)
def test_pixels_that_are_not_all_repeated_as_often(scale: float, mode: str, nearest: str) -> None:
    """A picture's resize is linear: its gradient is the transpose, found here one pixel at a time."""
    attributes = {"mode": "nearest", "coordinate_transformation_mode": mode, "nearest_mode": nearest}
    inputs = [np.zeros((1, 1, 1, 3)), None, np.array([1, 1, 1, scale], np.float32)]
    graph, (x,) = one_node("resize", attributes, inputs)
    weights = np.random.default_rng(0).normal(size=graph.types["y0"].static_shape)
    extension = Extension(graph.replace(constants={**graph.constants, "weights": weights}))
    extension.append(Node("mul", ("y0", "weights"), ("terms",)))
    extension.append(Node("reduce_sum", ("terms",), ("loss",), {"keepdims": 0}))
    grown = extension.graph(["loss", differentiate(extension, "loss", [x])[x]])
    pixels = [np.eye(3)[place].reshape(1, 1, 1, 3) for place in range(3)]
    expected = [float(evaluate(grown, {x: pixel})["loss"]) for pixel in pixels]
    (gradient,) = [found for name, found in evaluate(grown, {x: pixels[0]}).items() if name != "loss"]
    np.testing.assert_allclose(gradient.reshape(-1), expected, rtol=1e-12)


def test_rules_are_for_ops_that_exist() -> None:
    assert set(opdef._RULES) <= set(ops.names())


def test_most_ops_have_gradients() -> None:
    without = {name for name in ALL if ops.get(name).grad is None}
    assert {"conv", "matmul", "gemm", "batch_norm_training", "max_pool", "softmax_cross_entropy"}.isdisjoint(without)
    assert len(DIFFERENTIABLE) >= 80
