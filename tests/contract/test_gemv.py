"""Every direct gemv row against NumPy in fp64: few rows, short sums, strides of either factor, tails, bias, activation.

An element is a sum of k products, each rounded once more as it is added: it errs by at most (k + 4)·eps·Σ|terms|.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, native, rows

from thew.errors import PlanError

ROWS = [row for row in rows("gemv") if row.values[0].algorithm == "direct"]
RNG = np.random.default_rng(43)
SHAPES = (
    (1, 400, 120),
    (1, 7, 3),
    (4, 33, 65),
    (3, 1, 200),
    (130, 2, 21),
    (32, 70, 29),
    (7, 40, 13),
    (1, 64, 1),
    (5, 16, 16),
    (2, 0, 5),
    (0, 3, 4),
)


def drawn(row: Any, shape: tuple[int, ...]) -> Any:
    return RNG.standard_normal(shape).astype(DTYPES[row.a])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("row", ROWS)
def test_products(row: Any, shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    for a, b in (
        (drawn(row, (m, k)), drawn(row, (k, n))),
        (drawn(row, (m, k)), drawn(row, (n, k)).T),
        (drawn(row, (k, m)).T, drawn(row, (k, n))),
        (drawn(row, (m, 2 * k))[:, ::2], drawn(row, (2 * k, n + 3))[::2, 3:]),
    ):
        for bias, activation in ((None, ""), (drawn(row, (n,)), "relu"), (drawn(row, (2 * n,))[::2], "")):
            wide = np.asarray(a, np.float64) @ b
            size = np.abs(a).astype(np.float64) @ np.abs(b) + (0 if bias is None else np.abs(bias))
            value = wide if bias is None else wide + bias
            value = np.maximum(value, 0) if activation else value
            for threads in (1, 3):
                y = np.full((m, n), np.nan, a.dtype)
                given = {"activation": activation, "activation_parameters": ()}
                native.run_kernel(row.name, "matmul", [a, b, bias], [y], given, (), threads)
                assert np.all(np.abs(y - value) <= (k + 4) * np.finfo(a.dtype).eps * size)


@pytest.mark.parametrize("row", ROWS)
def test_threads_do_not_change_the_sums(row: Any) -> None:
    a, b = drawn(row, (3, 500)), drawn(row, (700, 500))
    found = []
    for threads in (1, 2, 5):
        y = np.zeros((3, 700), a.dtype)
        native.run_kernel(row.name, "matmul", [a, b.T], [y], {}, (), threads)
        found.append(y.tobytes())
    assert len(set(found)) == 1


@pytest.mark.parametrize("row", ROWS[:1])
def test_what_is_refused(row: Any) -> None:
    a, b, y = drawn(row, (2, 8)), drawn(row, (16, 12))[::2, ::2], drawn(row, (2, 6))
    with pytest.raises(PlanError, match="side by side"):
        native.run_kernel(row.name, "matmul", [a, b], [y])
    with pytest.raises(PlanError, match="shapes must be"):
        native.run_kernel(row.name, "matmul", [a, b[1:]], [y])
    with pytest.raises(PlanError, match="over n alone"):
        native.run_kernel(row.name, "matmul", [a, drawn(row, (8, 6)), drawn(row, (2, 6))], [y])
