"""A network of volumes runs natively from end to end; the oracle is the NumPy interpreter in fp64."""

from __future__ import annotations

import numpy as np
import pytest

import thew
from thew.ir import Graph, parse_graph
from thew.ops.interpret import evaluate

NETWORK = """
graph volumes(%x: {dtype}[2,3,6,9,8]) -> (%y) {{
  %c: {dtype}[2,8,6,9,8] = conv(%x, %w1, %b1) {{pads=[1, 1, 1, 1, 1, 1], kernel_shape=[3, 3, 3]}}
  %n: {dtype}[2,8,6,9,8] = batch_normalization(%c, %scale, %shift, %mean, %variance)
  %r: {dtype}[2,8,6,9,8] = relu(%n)
  %m: {dtype}[2,8,3,4,4] = max_pool(%r) {{kernel_shape=[2, 2, 2], strides=[2, 2, 2]}}
  %d: {dtype}[2,8,3,4,4] = conv(%m, %w2) {{pads=[1, 1, 1, 1, 1, 1], group=8}}
  %q: {dtype}[2,8,3,4,4] = add(%d, %m)
  %s: {dtype}[2,8,3,4,4] = relu(%q)
  %u: {dtype}[2,4,6,8,8] = conv_transpose(%s, %w3, %b3) {{strides=[2, 2, 2]}}
  %a: {dtype}[2,4,3,4,4] = average_pool(%u) {{kernel_shape=[3, 3, 3], strides=[2, 2, 2], pads=[1, 1, 1, 0, 0, 0]}}
  %y: {dtype}[2,4,1,1,1] = global_average_pool(%a)
}}
"""
WEIGHTS = {
    "w1": (8, 3, 3, 3, 3), "b1": (8,), "scale": (8,), "shift": (8,), "mean": (8,), "variance": (8,),
    "w2": (8, 1, 3, 3, 3), "w3": (8, 4, 2, 2, 2), "b3": (4,),
}  # fmt: skip


def network(dtype: str) -> Graph:
    random = np.random.default_rng(0)
    constants = {name: random.uniform(0.2, 1, shape) / np.prod(shape[1:]) for name, shape in WEIGHTS.items()}
    numpy_dtype = np.float64 if dtype == "fp64" else np.float32
    graph = parse_graph(NETWORK.format(dtype=dtype))
    return graph.replace(constants={name: array.astype(numpy_dtype) for name, array in constants.items()})


@pytest.mark.parametrize(("precision", "epsilon"), [("fp32", 2.0**-23), ("bf16", 2.0**-7)])
def test_no_step_is_python(precision: str, epsilon: float) -> None:
    x = np.random.default_rng(1).uniform(-1, 1, (2, 3, 6, 9, 8)).astype(np.float32)
    session = thew.InferenceSession(network("fp32"), precision=precision, threads=2)
    (y,) = session.run(None, {"x": x})
    assert "python" not in str(session.explain()).lower()
    expected = evaluate(network("fp64"), {"x": x.astype(np.float64)})["y"]
    # A dozen ops, each of which rounds its result, on sums in fp32 of at most 108 products.
    np.testing.assert_allclose(y, expected, rtol=12 * epsilon + 108 * 2.0**-23)
