"""Every pool_grad row against the ops' references in fp64: windows that overlap or not, pads, layouts, ties, NaN.

dx is a sum over the windows that hold the element, at most ceil(kernel / stride) along each axis, each term with one
rounding of its own (the division): |error| <= (terms + 2)·eps·Σ|terms|.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from kernel_cases import DTYPES, LAYOUTS, native, placed, rows

from thew import ops
from thew.errors import PlanError
from thew.ops.pool_grad import tiles

ROWS = rows("pool_grad")
RNG = np.random.default_rng(23)
# shape, kernel, strides, pads, dilations, ceil_mode
CASES: tuple[tuple[Any, ...], ...] = (
    ((2, 6, 8, 10), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), 0),
    ((3, 19, 7, 9), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), 0),
    ((1, 2, 5, 71), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), 0),
    ((2, 17, 9, 9), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 0),
    ((1, 33, 6, 7), (3, 2), (1, 1), (1, 0, 2, 1), (1, 1), 0),
    ((2, 5, 9, 10), (2, 3), (3, 2), (0, 1, 0, 1), (2, 2), 0),
    ((1, 16, 7, 8), (3, 3), (3, 3), (0, 0, 0, 0), (1, 1), 1),
    ((4, 40, 4, 4), (4, 4), (1, 1), (0, 0, 0, 0), (1, 1), 0),
)  # fmt: skip


def attributes(case: tuple[Any, ...], **more: Any) -> dict[str, Any]:
    shape, kernel, strides, pads, dilations, ceil_mode = case
    return {
        "kernel_shape": kernel, "strides": strides, "pads": pads, "dilations": dilations, "ceil_mode": ceil_mode,
        "auto_pad": "NOTSET", "input_shape": shape, "count_include_pad": 0, "activation": "", **more,
    }  # fmt: skip


def drawn(op: str, case: tuple[Any, ...], dtype: str, **more: Any) -> tuple[list[Any], dict[str, Any], Any, Any]:
    """Inputs, attributes, the exact result, and what errors are measured by. Few values, so that maxima tie."""
    given = attributes(case, **more)
    x = RNG.integers(-3, 4, case[0]).astype(DTYPES[dtype])
    pool = ops.get(op.removesuffix("_grad"))
    forward = {name: value for name, value in given.items() if name in pool.attributes}
    dy = RNG.standard_normal(pool.reference(forward, x)[0].shape).astype(DTYPES[dtype])
    inputs = [x, dy] if op == "max_pool_grad" else [dy]
    reference = ops.get(op).reference
    known = {name: value for name, value in given.items() if name in ops.get(op).attributes}
    (value,) = reference(known, *[array.astype(np.float64) for array in inputs])
    sizes = [x.astype(np.float64)] if op == "max_pool_grad" else []
    (size,) = reference(known, *sizes, np.abs(dy).astype(np.float64))
    terms = int(np.prod([-(-k // s) for k, s in zip(case[1], case[2], strict=True)]))
    return inputs, given, value, (terms + 2) * float(ml_dtypes.finfo(DTYPES[dtype]).eps) * size


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("op", ["max_pool_grad", "average_pool_grad"])
@pytest.mark.parametrize("row", ROWS)
def test_windows(row: Any, op: str, case: tuple[Any, ...]) -> None:
    for more in ({}, {"count_include_pad": 1}) if op == "average_pool_grad" else ({},):
        inputs, given, value, tolerance = drawn(op, case, row.a, **more)
        for layout, threads in (("channels_last", 1), ("batch_innermost", 2), ("plain", 3)):
            dx = placed(np.full(case[0], np.nan, inputs[0].dtype), layout)
            native.run_kernel(row.name, op, [placed(array, layout) for array in inputs], [dx], given, (), threads)
            assert np.all(np.abs(dx - value) <= tolerance), layout


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("row", ROWS)
def test_strides(row: Any, layout: str) -> None:
    inputs, given, value, tolerance = drawn("max_pool_grad", CASES[2], row.a)
    for which in range(4):
        views = [placed(array, layout if which in (n, 3) else "channels_last") for n, array in enumerate(inputs)]
        dx = placed(np.zeros(CASES[2][0], inputs[0].dtype), layout if which >= 2 else "channels_last")
        native.run_kernel(row.name, "max_pool_grad", views, [dx], given, (), 2)
        assert np.all(np.abs(dx - value) <= tolerance)


@pytest.mark.parametrize("case", [CASES[0], ((3, 19, 8, 6), (2, 3), (2, 3), (0, 0, 0, 0), (1, 1), 0), CASES[6]])
@pytest.mark.parametrize("row", ROWS)
def test_in_place(row: Any, case: tuple[Any, ...]) -> None:
    for activation in ("", "relu"):
        (x, dy), given, value, tolerance = drawn("max_pool_grad", case, row.a, activation=activation)
        assert tiles(given, x.shape, dy.shape)
        for layout, threads in (("channels_last", 1), ("batch_innermost", 2), ("plain", 3)):
            dx = placed(x, layout)
            native.run_kernel(row.name, "max_pool_grad", [dx, placed(dy, layout)], [dx], given, (), threads)
            assert np.all(np.abs(dx - value) <= tolerance), layout


def test_windows_that_share_elements_are_not_in_place() -> None:
    for case in (CASES[1], CASES[3], CASES[4], CASES[5], CASES[7]):
        (x, dy), given, _, _ = drawn("max_pool_grad", case, "fp64")
        assert not tiles(given, x.shape, dy.shape)


@pytest.mark.parametrize("row", ROWS)
def test_relu_before_the_pool(row: Any) -> None:
    for case in CASES[:3]:
        inputs, given, value, tolerance = drawn("max_pool_grad", case, row.a, activation="relu")
        dx = np.zeros(case[0], inputs[0].dtype)
        native.run_kernel(row.name, "max_pool_grad", inputs, [dx], given)
        assert np.all(np.abs(dx - value) <= tolerance)


@pytest.mark.parametrize("row", ROWS)
def test_nan_is_the_largest_and_the_first_of_equals_takes_all(row: Any) -> None:
    dtype = DTYPES[row.a]
    x = np.array([[[[1, np.nan, 3, 3], [np.nan, 2, 3, np.inf]]]], dtype)
    dy = np.array([[[[5, 7]]]], dtype)
    for layout in ("plain", "batch_innermost"):
        dx = placed(np.zeros_like(x), layout)
        given = {"kernel_shape": (2, 2), "strides": (2, 2)}
        native.run_kernel(row.name, "max_pool_grad", [placed(x, layout), dy], [dx], given)
        np.testing.assert_array_equal(dx, np.array([[[[0, 5, 0, 0], [0, 0, 0, 7]]]], dtype))


@pytest.mark.parametrize("row", ROWS[:1])
def test_what_is_refused(row: Any) -> None:
    inputs, given, _, _ = drawn("max_pool_grad", CASES[0], row.a)
    dx = np.zeros(CASES[0][0], inputs[0].dtype)
    with pytest.raises(PlanError, match="dx must have x's shape"):
        native.run_kernel(row.name, "max_pool_grad", inputs, [dx[:, :, 1:]], given)
    with pytest.raises(PlanError, match="activation must be relu"):
        native.run_kernel(row.name, "max_pool_grad", inputs, [dx], {**given, "activation": "tanh"})
