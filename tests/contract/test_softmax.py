"""Every softmax row against fp64: axes, strides, tails, in place, large and special values.

The sum has at most n terms a lane; x - m is rounded once, which the exponential turns into a relative error of
|x - m|·eps/2, and exp itself errs by 1 ulp: relative to y, |error| <= (n + max|x - m| + 16)·eps.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from kernel_cases import DTYPES, LAYOUTS, epsilon, layout_pairs, native, placed, relative, rows, same

from thew.errors import PlanError

ROWS = rows("softmax")
RNG = np.random.default_rng(7)
CASES = [
    ((2, 1000), 1), ((3, 5), 1), ((3, 5), 0), ((1, 21, 9, 11), 1), ((2, 3, 4, 5), 2), ((2, 64, 3, 3), 1), ((7,), 0),
    ((2, 4, 33), -2), ((1, 1, 1), 1), ((0, 3), 1), ((3, 0), 1),
]  # fmt: skip


def check(row: Any, x: Any, axis: int, source: Any, y: Any, threads: int) -> None:
    """`source` holds x, or is None where y does."""
    wide = x.astype(np.float64)
    with np.errstate(invalid="ignore"):
        shifted = wide - (wide.max(axis, keepdims=True) if x.shape[axis] else 0)
    total = np.exp(shifted).sum(axis, keepdims=True)
    terms = x.shape[axis] + 16
    depth = np.where(np.isfinite(shifted), np.abs(shifted), 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = {"softmax": np.exp(shifted) / total, "log_softmax": shifted - np.log(total)}
    smallest = float(ml_dtypes.finfo(x.dtype).smallest_subnormal)
    # An exponential below the normal numbers keeps an absolute error of a subnormal's spacing.
    with np.errstate(invalid="ignore"):  # infinities, which are compared apart
        tolerance = {
            "softmax": relative(x.dtype, terms + depth) * np.abs(exact["softmax"]) + smallest,
            "log_softmax": epsilon(x.dtype) * (depth + terms + np.log(terms))
            + relative(x.dtype, 0) * np.abs(exact["log_softmax"]),
        }
    for op in exact:
        y[...] = x
        native.run_kernel(row.name, op, [y if source is None else source], [y], {"axis": axis}, threads=threads)
        finite = np.isfinite(exact[op])
        assert np.all(np.abs(y[finite] - exact[op][finite]) <= tolerance[op][finite]), op
        assert same(y[~finite], exact[op][~finite].astype(x.dtype)), op


@pytest.mark.parametrize(("shape", "axis"), CASES)
@pytest.mark.parametrize("row", ROWS)
def test_axes(row: Any, shape: tuple[int, ...], axis: int) -> None:
    for scale in (1, 40):
        x = (RNG.standard_normal(shape) * scale).astype(DTYPES[row.a])
        for layout in LAYOUTS:
            check(row, x, axis, placed(x, layout), placed(np.zeros_like(x), layout), 2)
            check(row, x, axis, None, placed(x, layout), 1)  # in place


@pytest.mark.parametrize("row", ROWS)
def test_strides(row: Any) -> None:
    for axis in (1, 3):
        x = RNG.standard_normal((2, 5, 6, 19)).astype(DTYPES[row.a])
        for a, b in layout_pairs():
            check(row, x, axis, placed(x, a), placed(np.zeros_like(x), b), 1)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("row", ROWS)
def test_nan_and_infinity(row: Any, axis: int) -> None:
    """A NaN or +Inf spoils its line, -Inf gives 0, a line of -Inf alone is NaN; other lines stay clean."""
    x = RNG.standard_normal((40, 40)).astype(DTYPES[row.a])
    x[3, 5], x[7, 9], x[11, 2] = np.nan, np.inf, -np.inf
    x[20 if axis else slice(None), slice(None) if axis else 20] = -np.inf
    check(row, x, axis, x, np.zeros_like(x), 1)


@pytest.mark.parametrize("row", ROWS[:1])
def test_refusals(row: Any) -> None:
    x = np.zeros((2, 3), DTYPES[row.a])
    with pytest.raises(PlanError, match="axis"):
        native.run_kernel(row.name, "softmax", [x], [x.copy()], {"axis": 2})
    with pytest.raises(PlanError, match="shape"):
        native.run_kernel(row.name, "softmax", [x], [x[:, :2].copy()], {"axis": 1})
