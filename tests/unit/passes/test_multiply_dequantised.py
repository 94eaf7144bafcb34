"""Products of floats with dequantised weights: which become scaled_matmul, and that they compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from thew.ir import Graph, GraphBuilder
from thew.ops.interpret import evaluate
from thew.passes.multiply_dequantised import multiply_dequantised

RNG = np.random.default_rng(5)


def graph_of(
    op: str, stored: Any, scale: Any, zero: Any, axis: int = 1, bias: Any = None, turned: bool = False
) -> Graph:
    b = GraphBuilder("dense")
    x = b.input("x", "fp32", (3, 6))
    names = [b.constant(array) for array in (stored, scale, zero)]
    weight = b.node("dequantize_linear", names, axis=axis)
    if op == "matmul" and turned:
        weight = b.node("transpose", [weight], perm=(1, 0))
    inputs = [x, weight, *([] if bias is None else [b.constant(bias)])]
    return b.graph([b.node(op, inputs, "y", **({"transB": int(turned)} if op == "gemm" else {}))])


def rewritten(graph: Graph) -> Graph:
    made = multiply_dequantised(graph)
    x = RNG.standard_normal((3, 6)).astype(np.float32)
    (value,), (wanted,) = ((evaluate(one, {"x": x})[name] for name in one.outputs) for one in (made, graph))
    np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-5)
    return made


def is_rewritten(graph: Graph) -> bool:
    return any(node.op == "scaled_matmul" for node in rewritten(graph).nodes)


SCALES = RNG.uniform(0.01, 0.1, 4).astype(np.float32)
SIGNED = RNG.integers(-128, 128, (6, 4)).astype(np.int8)


@pytest.mark.parametrize("op", ["matmul", "gemm"])
@pytest.mark.parametrize("turned", [False, True])
def test_weights_with_a_scale_a_column(op: str, turned: bool) -> None:
    stored = np.ascontiguousarray(SIGNED.T) if turned else SIGNED
    assert is_rewritten(graph_of(op, stored, SCALES, np.zeros(4, np.int8), 0 if turned else 1, turned=turned))


def test_one_scale_and_unsigned_weights_around_the_middle() -> None:
    stored = (SIGNED.astype(np.int16) + 128).astype(np.uint8)
    assert is_rewritten(graph_of("matmul", stored, np.float32(0.05), np.uint8(128)))
    assert is_rewritten(graph_of("gemm", stored, SCALES, np.full(4, 128, np.uint8), bias=SCALES))


def test_what_int8_does_not_hold_stays() -> None:
    stored = (SIGNED.astype(np.int16) + 128).astype(np.uint8)
    assert not is_rewritten(graph_of("matmul", stored, np.float32(0.05), np.uint8(3)))
    assert not is_rewritten(
        graph_of("matmul", SIGNED, RNG.uniform(0.01, 0.1, 6).astype(np.float32), np.zeros(6, np.int8), 0)
    )
    assert not is_rewritten(graph_of("gemm", SIGNED, SCALES, np.zeros(4, np.int8), bias=np.ones((3, 4), np.float32)))
