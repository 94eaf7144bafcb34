"""Every quant row against NumPy: per tensor and per axis, saturation, ties, strides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, LAYOUTS, native, placed, random, rows

CASES = (((3,), 0), ((2, 5, 7), 1), ((2, 3, 40), -1), ((4, 100), 0), ((2, 19, 3, 5), 1))
TARGETS = ("uint8", "int8", "uint16", "int16")
ROWS = [row for row in rows("quant") if row.values[0].algorithm == "strided"]


def _parameters(shape: tuple[int, ...], axis: int, dtype: str, per_axis: bool) -> tuple[Any, Any, Any, Any]:
    """Scale and zero point, as they are given and as they broadcast."""
    rng = np.random.default_rng(7)
    size = (shape[axis],) if per_axis else ()
    scale = rng.uniform(0.01, 0.1, size).astype(np.float32)
    zero = rng.integers(0, 100, size).astype(DTYPES[dtype])
    along = tuple(shape[axis] if d == axis % len(shape) else 1 for d in range(len(shape))) if per_axis else ()
    return scale, zero, scale.reshape(along), zero.reshape(along)


@pytest.mark.parametrize("row", rows("quant", "fp32"))
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("per_axis", [False, True])
def test_quantize(row: Any, target: str, per_axis: bool) -> None:
    limits = np.iinfo(DTYPES[target])
    for shape, axis in CASES:
        scale, zero, wide_scale, wide_zero = _parameters(shape, axis, target, per_axis)
        x = random("fp32", shape) * np.float32(100)
        x = np.where(random("bool", shape), x, (np.rint(x) + np.float32(0.5)) * wide_scale).astype(
            np.float32
        )  # near ties
        x.flat[:3] = np.inf, -np.inf, 0
        for given in (zero, None):
            offset = wide_zero.astype(np.float32) if given is not None else np.float32(0)
            expected = np.clip(np.rint(x / wide_scale) + offset, limits.min, limits.max).astype(DTYPES[target])
            for layout in LAYOUTS:
                out = LAYOUTS[layout](shape, DTYPES[target])
                native.run_kernel(row.name, "quantize_linear", [placed(x, layout), scale, given], [out], {"axis": axis})
                assert np.array_equal(out, expected), (shape, layout)


@pytest.mark.parametrize("row", rows("quant", "fp32"))
@pytest.mark.parametrize("target", TARGETS)
def test_halves_round_to_even_and_nan_is_lowest(row: Any, target: str) -> None:
    x = np.array([0.5, 1.5, 2.5, 3.5, -0.5, np.nan], np.float32)
    out = np.empty(6, DTYPES[target])
    native.run_kernel(row.name, "quantize_linear", [x, np.array(1, np.float32), None], [out])
    assert out.tolist() == [0, 2, 2, 4, 0, np.iinfo(out.dtype).min]


@pytest.mark.parametrize("row", [row for row in ROWS if row.values[0].a != "fp32"])
@pytest.mark.parametrize("per_axis", [False, True])
def test_dequantize(row: Any, per_axis: bool) -> None:
    limits = np.iinfo(DTYPES[row.a])
    for shape, axis in CASES:
        scale, zero, wide_scale, wide_zero = _parameters(shape, axis, row.a, per_axis)
        x = np.clip(random(row.a, shape), max(limits.min, -(10**8)), min(limits.max, 10**8)).astype(DTYPES[row.a])
        for given in (zero, None):
            offset = wide_zero.astype(np.int32) if given is not None else 0
            expected = (x.astype(np.int32) - offset).astype(np.float32) * wide_scale
            for layout in LAYOUTS:
                out = LAYOUTS[layout](shape, np.float32)
                sources = [placed(x, layout), scale, given]
                native.run_kernel(row.name, "dequantize_linear", sources, [out], {"axis": axis})
                assert np.array_equal(out, expected), (shape, layout)


def test_a_scale_of_another_length_is_refused() -> None:
    errors = pytest.importorskip("thew.errors")
    row = rows("quant", "fp32")[0].values[0]
    x, out = np.zeros((2, 5), np.float32), np.zeros((2, 5), np.int8)
    with pytest.raises(errors.PlanError, match="as long as the axis"):
        native.run_kernel(row.name, "quantize_linear", [x, np.ones(3, np.float32), None], [out], {"axis": 1})


@pytest.mark.parametrize("row", [row for row in rows("quant") if row.values[0].algorithm == "table"])
@pytest.mark.parametrize("result", ["uint8", "int8"])
def test_functions_of_one_byte(row: Any, result: str) -> None:
    table = np.random.default_rng(3).permutation(256).astype(np.uint8).view(result)
    every = np.arange(256).astype(np.uint8).view(DTYPES[row.a])
    for x in (every, np.resize(every[::-1], (3, 301)), random(row.a, (2, 19, 5, 7)), np.empty((0, 4), DTYPES[row.a])):
        for layout in LAYOUTS:
            out = LAYOUTS[layout](x.shape, np.dtype(result))
            native.run_kernel(row.name, "lookup", [placed(x, layout), table], [out], constants=(1,))
            assert np.array_equal(out, table[np.ascontiguousarray(x).view(np.uint8)]), (x.shape, layout)
    in_place = every.copy()
    native.run_kernel(row.name, "lookup", [in_place, table.view(in_place.dtype)], [in_place], constants=(1,))
    assert np.array_equal(in_place.view(result), table)


def test_a_table_of_another_size_is_refused() -> None:
    errors = pytest.importorskip("thew.errors")
    row = next(row.values[0] for row in rows("quant", "uint8") if row.values[0].algorithm == "table")
    x = np.zeros(4, np.uint8)
    for table in (np.zeros(255, np.uint8), np.zeros(256, np.int8)):
        with pytest.raises(errors.PlanError, match="256 bytes of the output's type"):
            native.run_kernel(row.name, "lookup", [x, table], [np.empty_like(x)], constants=(1,))
