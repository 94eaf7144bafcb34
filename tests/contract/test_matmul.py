"""Every matmul row against NumPy in fp64: shapes, batches, strides, tails, epilogues, NaN and Inf.

A sum of k products, each rounded once more as it is added, with a bias and a residual errs by at most
(k + 4)·eps·Σ|terms|; activations here have slopes of at most 1.1.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from kernel_cases import DTYPES, LAYOUTS, native, placed, rows, summed

from thew.errors import PlanError

ROWS = rows("matmul")
RNG = np.random.default_rng(7)

# (a, b): all tails of a tile and of a vector, blocks of k, batches of either operand, vectors, empty sums.
SHAPES = (
    ((1, 1), (1, 1)), ((5, 7), (7, 9)), ((14, 64), (64, 32)), ((49, 700), (700, 33)), ((1, 300), (300, 1000)),
    ((131, 30), (30, 17)), ((64, 5), (5, 1)), ((3, 9, 20), (20, 35)), ((3, 9, 20), (3, 20, 35)),
    ((2, 1, 9, 20), (4, 20, 8)), ((9, 20), (3, 20, 35)), ((1, 9, 20), (2, 3, 20, 4)), ((20,), (20, 5)),
    ((5, 20), (20,)), ((20,), (20,)), ((20,), (3, 20, 4)), ((3, 4, 20), (20,)), ((4, 0), (0, 3)), ((0, 4), (4, 3)),
    ((1030, 8), (8, 3)),
)  # fmt: skip
SMALL = SHAPES[8]

ACTIVATIONS: dict[str, tuple[list[float], Any]] = {
    "": ([], lambda x: x),
    "relu": ([], lambda x: np.maximum(x, 0)),
    "clip": ([-0.5, 0.75], lambda x: np.clip(x, -0.5, 0.75)),
    "leaky_relu": ([0.25], lambda x: np.where(x < 0, 0.25 * x, x)),
    "hard_swish": ([], lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "sigmoid": ([], lambda x: 1 / (1 + np.exp(-x))),
    "tanh": ([], np.tanh),
}


def normal(shape: tuple[int, ...], row: Any) -> Any:
    return RNG.standard_normal(shape).astype(DTYPES[row.a])


def exact(a: Any, b: Any) -> Any:
    return np.matmul(a.astype(np.float64), b.astype(np.float64))


def tolerance(row: Any, a: Any, b: Any, extra: Any = 0.0) -> Any:
    terms = exact(np.abs(a), np.abs(b)) + extra
    return summed(row, a.shape[-1]) * (terms + float(ml_dtypes.finfo(a.dtype).tiny))


def run(row: Any, inputs: list[Any], c: Any, attributes: Any = None, constants: tuple[int, ...] = (),
        threads: int = 1) -> None:  # fmt: skip
    native.run_kernel(row.name, "matmul", inputs, [c], attributes or {}, constants, threads)


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("row", ROWS)
def test_shapes(row: Any, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    a, b = (normal(shape, row) for shape in shapes)
    wanted = exact(a, b)
    for constants, threads in (((), 1), ((1,), 1), ((1,), 2), ((), 3)):
        c = np.full(wanted.shape, np.nan, a.dtype)
        run(row, [a, b], c, constants=constants, threads=threads)
        assert np.all(np.abs(c - wanted) <= tolerance(row, a, b))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("row", ROWS)
def test_strides(row: Any, layout: str) -> None:
    """Each operand in turn, and all together, in each layout; memory around the output stays as it was."""
    a, b = (normal(shape, row) for shape in SMALL)
    residual = normal(exact(a, b).shape, row)
    wanted = exact(a, b) + residual
    for which in range(5):
        inputs = [placed(x, layout) if which in (n, 4) else x for n, x in enumerate((a, b, residual))]
        c = placed(np.zeros(wanted.shape, a.dtype), layout if which >= 3 else "plain")
        run(row, [inputs[0], inputs[1], None, inputs[2]], c, threads=2)
        assert np.all(np.abs(c - wanted) <= tolerance(row, a, b, np.abs(residual))), which


@pytest.mark.parametrize("row", ROWS)
def test_transposed(row: Any) -> None:
    """Rows of a and rows of k in b side by side in memory: all tails of a tile and of a vector."""
    for m, k, n in ((45, 70, 37), (3, 5, 130), (200, 601, 64), (16, 4, 16), (33, 1, 4), (130, 3, 2)):
        a, b = normal((k, m), row), normal((n, k), row)
        c = np.full((m, n), np.nan, a.dtype)
        for constants, threads in (((), 3), ((1,), 1)):
            run(row, [a.T, b.T], c, constants=constants, threads=threads)
            assert np.all(np.abs(c - exact(a.T, b.T)) <= tolerance(row, a.T, b.T))


@pytest.mark.parametrize("row", ROWS)
def test_writes_only_its_output(row: Any) -> None:
    a, b = normal((33, 40), row), normal((40, 19), row)
    memory = np.full((37, 29), 7, a.dtype)
    run(row, [a, b], memory[2:35, 3:22], threads=2)
    memory[2:35, 3:22] = 7
    assert np.all(memory == 7)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("row", ROWS)
def test_epilogues(row: Any, activation: str) -> None:
    """Biases that broadcast, residuals beside them or where c is to be written, the activation after both."""
    a, b = (normal((2, 29, 600), row) / 16).astype(DTYPES[row.a]), normal((600, 41), row)
    parameters, function = ACTIVATIONS[activation]
    attributes = {"activation": activation, "activation_parameters": parameters}
    residual = normal((2, 29, 41), row)
    for shape in ((41,), (1,), (1, 1, 41), (29, 1), (2, 29, 41), ()):
        bias = normal(shape, row)
        for added in (None, residual) if not shape or np.prod(shape) in (1, 41) else (None,):
            sums = exact(a, b) + bias + (0 if added is None else added.astype(np.float64))
            extra = np.abs(bias) + (0 if added is None else np.abs(added))
            c = np.zeros(sums.shape, a.dtype) if added is None else added.copy()
            run(row, [a, b, bias, None if added is None else c], c, attributes, (1,), 2)
            assert np.all(np.abs(c - function(sums)) <= 2 * tolerance(row, a, b, extra + 1)), (shape, added is None)


@pytest.mark.parametrize("row", ROWS)
def test_nan_and_inf_stay_in_their_row_and_column(row: Any) -> None:
    a, b = normal((30, 50), row), normal((50, 45), row)
    a[3, 7], a[17, 0], b[20, 44], b[1, 2] = np.nan, np.inf, np.nan, -np.inf
    for activation in ("", "relu", "clip"):
        parameters, function = ACTIVATIONS[activation]
        c = np.empty((30, 45), a.dtype)
        run(row, [a, b], c, {"activation": activation, "activation_parameters": parameters})
        with np.errstate(invalid="ignore"):
            wanted = function(np.matmul(a.astype(np.float64), b.astype(np.float64)))
        assert np.array_equal(np.isnan(c), np.isnan(wanted))
        infinite = np.isinf(wanted)
        assert np.array_equal(c[infinite], wanted[infinite])


@pytest.mark.parametrize("row", ROWS)
def test_rejects(row: Any) -> None:
    a, b, c = normal((4, 5), row), normal((5, 6), row), normal((4, 6), row)
    with pytest.raises(PlanError, match="shapes must be"):
        run(row, [a, b], c[:, :5])
    with pytest.raises(PlanError, match="broadcast"):
        run(row, [a, b, normal((7,), row)], c)
    with pytest.raises(PlanError, match="activation"):
        run(row, [a, b], c, {"activation": "nonsense"})
    with pytest.raises(PlanError, match=r"must be (fp|bf)"):
        run(row, [a.astype(np.int32), b], c)
    with pytest.raises(PlanError, match="beside a residual"):
        run(row, [a, b, normal((4, 1), row), normal((4, 6), row)], c)
