"""Sessions in 16 bits: what goes in and comes out, what lies between, plans that remember it, the measured choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thew
from thew.dtypes import HALVES
from thew.errors import PlanError, UnsupportedError
from thew.ir import Graph, GraphBuilder
from thew.ops.interpret import evaluate

UNIT = {"fp16": 2.0**-11, "bf16": 2.0**-8}  # half a step, relative


def network() -> Graph:
    """Convolutions dense, pointwise and depthwise, a residual, pools, a dense layer; softmax, and exp in fp32."""
    rng = np.random.default_rng(3)
    b = GraphBuilder("mixed")

    def weight(*shape: int) -> str:
        return b.constant((rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32), "w")

    x = b.input("x", "fp32", ("n", 3, 15, 15))
    first = b.node("relu", [b.node("conv", [x, weight(24, 3, 3, 3)], pads=(1, 1, 1, 1))])
    depth = b.node("clip", [b.node("conv", [first, weight(24, 1, 3, 3)], pads=(1, 1, 1, 1), group=24)])
    second = b.node("add", [b.node("conv", [depth, weight(24, 24, 1, 1)]), first])
    third = b.node("hard_swish", [b.node("conv", [second, weight(40, 24, 3, 3)], strides=(2, 2))])
    pooled = b.node("max_pool", [third], kernel_shape=(2, 2), strides=(2, 2))
    flat = b.node("flatten", [b.node("global_average_pool", [pooled])], axis=1)
    logits = b.node("gemm", [flat, weight(10, 40)], "logits", transB=1)
    return b.graph([logits, b.node("softmax", [logits], "shares"), b.node("exp", [logits], "powers")])


def inputs(batch: int = 3) -> Any:
    return np.random.default_rng(4).standard_normal((batch, 3, 15, 15)).astype(np.float32)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("precision", HALVES)
def test_results_are_those_of_fp32_but_for_rounding(precision: str, threads: int) -> None:
    graph = network()
    session = thew.InferenceSession(graph, threads=threads, precision=precision)
    feeds = {"x": inputs()}
    exact = evaluate(graph, feeds)
    for name, got in zip(exact, session.run(None, feeds), strict=True):
        assert got.dtype == np.float32
        # Eleven tensors and weights on the way, each rounded once; signals keep their size from layer to layer.
        scale = np.abs(exact[name]).max() * (np.abs(exact["logits"]).max() if name == "powers" else 1)
        assert np.abs(got - exact[name]).max() <= 11 * UNIT[precision] * scale
        assert not np.array_equal(got, exact[name])


@pytest.mark.parametrize("precision", HALVES)
def test_the_border_keeps_its_types(precision: str) -> None:
    session = thew.InferenceSession(network(), precision=precision)
    assert [value.type for value in session.get_inputs()] == ["tensor(float)"]
    session.run(None, {"x": inputs(1)})
    assert [value.type for value in session.get_outputs()] == ["tensor(float)"] * 3


@pytest.mark.parametrize("precision", HALVES)
def test_nothing_is_cast_between_reduced_layers(precision: str) -> None:
    """The first and the last product run in fp32; a cast follows the one and precedes the other."""
    session = thew.InferenceSession(network(), precision=precision)
    session.run(None, {"x": inputs(1)})
    rows = session.explain(rounds=0).rows
    assert sum(row.op == "cast" for row in rows) == 2
    assert [row.precision for row in rows if row.op in ("conv", "matmul")] == ["fp32", *[precision] * 3, "fp32"]
    whole = thew.InferenceSession(network(), precision="fp32")
    whole.run(None, {"x": inputs(1)})
    assert session.plan.packed_bytes < 0.75 * whole.plan.packed_bytes


@pytest.mark.parametrize("precision", HALVES)
def test_plans_remember_their_precision(precision: str, tmp_path: Path) -> None:
    graph, feeds = network(), {"x": inputs(2)}
    session = thew.InferenceSession(graph, precision=precision)
    wanted = session.run(None, feeds)
    session.plan.save(tmp_path / "plan.json")
    again = thew.InferenceSession(graph, plan=tmp_path / "plan.json")
    assert all(map(np.array_equal, again.run(None, feeds), wanted))
    other = next(name for name in HALVES if name != precision)
    with pytest.raises(PlanError, match=f"made for precision {other}, got one for {precision}"):
        thew.InferenceSession(graph, precision=other, plan=tmp_path / "plan.json")


def test_auto_takes_what_it_measured(tmp_path: Path) -> None:
    graph, feeds = network(), {"x": inputs(8)}
    session = thew.InferenceSession(graph, precision="auto")
    wanted = session.run(None, feeds)
    plan = session.plan
    assert plan.precision in ("fp32", *HALVES)
    for got, exact in zip(wanted, evaluate(graph, feeds).values(), strict=True):
        unit = UNIT.get(plan.precision, 2.0**-20)
        assert np.abs(got - exact).max() <= 11 * unit * np.abs(exact).max() * 10
    plan.save(tmp_path / "plan.json")
    again = thew.InferenceSession(graph, plan=tmp_path / "plan.json")
    assert all(map(np.array_equal, again.run(None, feeds), wanted))


def test_refuses_other_precisions() -> None:
    with pytest.raises(UnsupportedError, match="precision: must be one of fp32, fp64, fp16, bf16, auto"):
        thew.InferenceSession(network(), precision="int3")


def test_quantised_parts_stay_exact() -> None:
    """Integers times a step of 1 are exact in fp32, and so is their convolution."""
    rng = np.random.default_rng(5)
    b = GraphBuilder("quantised")
    x = b.input("x", "uint8", (1, 4, 6, 6))
    step = b.constant(np.float32(1), "step")
    real = b.node("dequantize_linear", [x, step])
    weight = b.constant(rng.integers(-127, 127, (8, 4, 3, 3)).astype(np.float32), "w")
    graph = b.graph([b.node("conv", [real, weight], "y")])
    feeds = {"x": rng.integers(0, 255, (1, 4, 6, 6), dtype=np.uint8)}
    (exact,) = evaluate(graph, feeds).values()
    for precision in HALVES:
        (got,) = thew.InferenceSession(graph, precision=precision).run(None, feeds)
        assert np.array_equal(got, exact)
