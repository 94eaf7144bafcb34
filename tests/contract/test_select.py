"""Every select row against np.where: all dtypes, broadcasting, strides, in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, LAYOUTS, native, placed, random, rows

SHAPES: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((33,), (33,), (33,)), ((), (9,), (9,)), ((3, 1), (3, 100), (100,)), ((5,), (), ()),
    ((2, 1, 3, 7), (2, 5, 3, 7), (5, 1, 1)),
    ((1, 5, 1, 1), (1, 5, 3, 7), (2, 5, 3, 7)),
)  # fmt: skip


@pytest.mark.parametrize("row", rows("select"))
@pytest.mark.parametrize("dtype", DTYPES)
def test_where(row: Any, dtype: str) -> None:
    for shapes in SHAPES:
        condition, a, b = random("bool", shapes[0]), random(dtype, shapes[1], 1), random(dtype, shapes[2], 2)
        expected = np.where(condition, a, b)
        for layout in LAYOUTS:
            out = LAYOUTS[layout](expected.shape, expected.dtype)
            native.run_kernel(row.name, "where", [placed(condition, layout), placed(a, layout), b], [out])
            assert out.tobytes() == expected.tobytes(), (shapes, layout)


@pytest.mark.parametrize("row", rows("select"))
@pytest.mark.parametrize("dtype", ["fp32", "int64", "uint8"])
def test_in_place(row: Any, dtype: str) -> None:
    for count in (1, 5, 16, 67, 300):
        condition, a, b = random("bool", (count,)), random(dtype, (count,), 1), random(dtype, (count,), 2)
        expected = np.where(condition, a, b)
        for target in (a, b):
            sources = [condition, a.copy(), b.copy()]
            sources[1 if target is a else 2] = out = target.copy()
            native.run_kernel(row.name, "where", sources, [out])
            assert np.array_equal(out, expected)
