"""Every gather_grad row against the op's reference: axes, forms of indices, rows read often and never, threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, native, placed, rows

from thew import ops
from thew.errors import InputError

ROWS = rows("gather_grad")


@pytest.mark.parametrize("kind", ["int32", "int64"])
@pytest.mark.parametrize("row", ROWS)
def test_sums(row: Any, kind: str) -> None:
    """One order of terms: the bits do not depend on the number of workers."""
    rng = np.random.default_rng(3)
    for shape in ((9,), (4, 37), (3, 5, 20), (2, 3, 4, 300), (0, 3)):
        for axis in range(len(shape)):
            for form in ((), (13,), (2, 3), (0,)):
                extent = shape[axis]
                if extent == 0 and 0 not in form:
                    continue
                indices = rng.integers(-extent, max(extent, 1), form).astype(DTYPES[kind])
                taken = (*shape[:axis], *form, *shape[axis + 1 :])
                dy = rng.standard_normal(taken).astype(DTYPES[row.a])
                given = {"axis": axis - len(shape), "input_shape": shape}
                (exact,) = ops.get("gather_grad").reference(given, dy.astype(np.float64), indices)
                (size,) = ops.get("gather_grad").reference(given, np.abs(dy).astype(np.float64), indices)
                found = set()
                for threads in (1, 3):
                    dx = np.full(shape, np.nan, dy.dtype)
                    sources = [dy, placed(indices, "every_other")]
                    native.run_kernel(row.name, "gather_grad", sources, [dx], given, (), threads)
                    assert np.all(np.abs(dx - exact) <= (indices.size + 1) * np.finfo(dy.dtype).eps * size)
                    found.add(dx.tobytes())
                assert len(found) == 1


@pytest.mark.parametrize("index", [5, -6])
@pytest.mark.parametrize("row", ROWS[:1])
def test_out_of_range_is_refused(row: Any, index: int) -> None:
    dy, dx = np.ones((2, 3), DTYPES[row.a]), np.zeros((5, 3), DTYPES[row.a])
    with pytest.raises(InputError, match=r"indices must be within \[-5, 4\]"):
        native.run_kernel(row.name, "gather_grad", [dy, np.array([0, index])], [dx], {"axis": 0})
    assert not dx.any()
