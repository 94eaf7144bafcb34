"""Every gemv row with packed weights against NumPy in fp64: int8 weights with scales, blocks of zeros, two of four.

An element is a sum of k products, each rounded once more as it is added, then scaled and added to: it errs by at most
(k + 4)·eps·Σ|terms|.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import LAYOUTS, native, rows

from thew.errors import PlanError

PACKED = [row for row in rows("gemv") if row.values[0].algorithm != "direct"]
SPARSE = [row for row in PACKED if row.values[0].algorithm != "widened"]
BLOCKS = [row for row in PACKED if row.values[0].algorithm == "blocks"]
RNG = np.random.default_rng(44)
SHAPES = ((1, 400, 120), (1, 7, 3), (2, 129, 260), (3, 33, 65), (7, 64, 16), (70, 100, 33), (5, 0, 9), (0, 8, 4))
EPS = float(np.finfo(np.float32).eps)


def drawn(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def weights(row: Any, k: int, n: int) -> Any:
    """With the structure that a row wants, by chance more of it in places; whole panels and groups of it empty."""
    if row.algorithm == "widened":
        return RNG.integers(-128, 128, (k, n)).astype(np.int8)
    if row.algorithm == "blocks":
        kept = np.repeat(RNG.random((k, -(-n // 16))) < 0.4, 16, axis=1)[:, :n]
        kept[:, :16] = RNG.random() < 0.5
        return drawn(k, n) * kept
    most = int(RNG.integers(1, 3))
    rank = np.argsort(RNG.random((-(-k // 4), 4, n)), axis=1).reshape(-1, n)[:k]
    return drawn(k, n) * (rank < most) * (RNG.random((k, n)) < 0.9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("row", PACKED)
def test_products(row: Any, shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    scaled = row.algorithm == "widened"
    for turned, bias, residual, activation in (
        (False, None, None, ""),
        (True, drawn(n), None, "relu"),
        (False, drawn(1), drawn(m, n + 2)[:, 1:-1], ""),
    ):
        a, b = drawn(m, k + 3)[:, 2:-1], weights(row, k, n)
        b = np.ascontiguousarray(b.T).T if turned else b
        scale = np.abs(drawn(n if bias is None else 1)) if scaled else None
        factor = 1.0 if scale is None else np.broadcast_to(scale, (n,)).astype(np.float64)
        value = (a.astype(np.float64) @ b.astype(np.float64)) * factor
        size = (np.abs(a).astype(np.float64) @ np.abs(b.astype(np.float64))) * factor
        for added in (bias, residual):
            if added is not None:
                value, size = value + added, size + np.abs(added)
        value = np.maximum(value, 0) if activation else value
        given = {"activation": activation, "activation_parameters": ()}
        inputs = [a, b, bias, residual, *([scale] if scaled else [])]
        for threads in (1, 3):
            whole = np.full((m + 2, n + 5), np.nan, np.float32)
            native.run_kernel(
                row.name,
                "scaled_matmul" if scaled else "matmul",
                inputs,
                [whole[1:-1, 3:-2]],
                given,
                (1, 2, 4),
                threads,
            )
            assert np.all(np.abs(whole[1:-1, 3:-2] - value) <= (k + 4) * EPS * size)
            whole[1:-1, 3:-2] = np.nan
            assert np.isnan(whole).all()


@pytest.mark.parametrize("row", PACKED)
def test_neither_threads_nor_rows_change_the_sums(row: Any) -> None:
    a, b = drawn(9, 300), weights(row, 300, 150)
    op, scale = ("scaled_matmul", [np.ones(1, np.float32)]) if row.algorithm == "widened" else ("matmul", [])
    found = []
    for threads, parts in ((1, 1), (3, 1), (1, 9), (1, 3)):
        y = np.zeros((9, 150), np.float32)
        for part in np.split(np.arange(9), parts):
            rows_ = slice(part[0], part[-1] + 1)
            native.run_kernel(row.name, op, [a[rows_], b, None, None, *scale], [y[rows_]], {}, (1, 4), threads)
        found.append(y.tobytes())
    assert len(set(found)) == 1


@pytest.mark.parametrize("row", SPARSE)
def test_pointwise_convolutions(row: Any) -> None:
    n, c, oc, h, w = 2, 36, 50, 3, 5
    weight = np.ascontiguousarray(weights(row, c, oc).T).reshape(oc, c, 1, 1)
    x, y, residual = (LAYOUTS["channels_last"]((n, of, h, w), np.float32) for of in (c, oc, oc))
    x[...], residual[...], bias = drawn(*x.shape), drawn(*residual.shape), drawn(oc)
    native.run_kernel(row.name, "conv", [x, weight, bias, residual], [y], {}, (1, 2))
    wide = weight[:, :, 0, 0].astype(np.float64)
    value = np.einsum("nchw,oc->nohw", x.astype(np.float64), wide) + bias[:, None, None] + residual
    size = np.einsum("nchw,oc->nohw", np.abs(x).astype(np.float64), np.abs(wide)) + np.abs(bias[:, None, None])
    assert np.all(np.abs(y - value) <= (c + 4) * EPS * (size + np.abs(residual)))


@pytest.mark.parametrize("row", PACKED[:1])
def test_dequantised_weights_are_those_of_the_trunk(row: Any) -> None:
    a, b, scale, bias = drawn(3, 40), RNG.integers(-128, 128, (40, 21)).astype(np.int8), np.abs(drawn(21)), drawn(21)
    for trunk in (found for found in rows("matmul", "fp32") if found.values[0].algorithm == "packed"):
        y, wanted = np.zeros((3, 21), np.float32), np.zeros((3, 21), np.float32)
        name = trunk.values[0].name
        native.run_kernel(name, "scaled_matmul", [a, b, bias, None, scale], [y], {}, (1, 4))
        native.run_kernel(name, "matmul", [a, b * scale, bias], [wanted], {}, (1,))
        np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize("row", BLOCKS)
def test_what_is_refused(row: Any) -> None:
    a, b, y = drawn(2, 8), drawn(8, 6), drawn(2, 6)
    for inputs, outputs, constants, words in (
        ([a, b], [y], (), "must be constant"),
        ([drawn(2, 16)[:, ::2], b], [y], (1,), "columns of a must lie side by side"),
        ([a, b], [drawn(2, 12)[:, ::2]], (1,), "columns of y must lie side by side"),
        ([a, b[1:]], [y], (1,), "shapes must be"),
        ([a, b, drawn(2, 6)], [y], (1, 2), "one number or 6"),
        ([a, b, drawn(6)], [y], (1,), "must be constants"),
        ([a, b, None, None, drawn(6)], [y], (1, 4), "go together"),
    ):
        with pytest.raises(PlanError, match=words):
            native.run_kernel(row.name, "matmul", inputs, outputs, {}, constants)


@pytest.mark.parametrize("row", [row for row in PACKED if row.values[0].algorithm == "structured"])
def test_three_of_four_are_refused(row: Any) -> None:
    b = np.zeros((8, 5), np.float32)
    b[4:7, 3] = 1
    with pytest.raises(PlanError, match="at most 2 of every 4"):
        native.run_kernel(row.name, "matmul", [drawn(1, 8), b], [drawn(1, 5)], {}, (1,))
