"""Every cast row, from and to every dtype, against NumPy (and, for bf16, rounding worked out in integers)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, INTEGERS, LAYOUTS, native, placed, random, rows


def _values(source: str, target: str, count: int) -> Any:
    """Values of a dtype, within the target's range where a float becomes an integer."""
    if source in INTEGERS or source == "bool":
        return random(source, (count,))
    if target in INTEGERS:
        limits = np.iinfo(DTYPES[target])
        low, high = max(float(limits.min), -6e4), min(float(limits.max), 6e4)
        return np.random.default_rng(5).uniform(low, 0.99 * high, count).astype(DTYPES[source])
    x = random(source, (count,)).astype(np.float64) * 10.0 ** np.random.default_rng(6).uniform(-7, 4, count)
    # Halfway cases and limits of fp16: overflow from 65520 on, subnormals below 2^-14, ties at 2048 + 1 and 2^-25.
    edges = [
        np.nan,
        np.inf,
        -np.inf,
        0,
        -0.0,
        65519,
        65520,
        -65519.99,
        2049,
        2051,
        2.0**-14,
        2.0**-24,
        2.0**-25,
        3 * 2.0**-25,
    ]
    x[: len(edges)] = edges[:count]
    with np.errstate(over="ignore"):
        return x.astype(DTYPES[source])


def _to_bf16(x: Any) -> Any:
    """Nearest even in one rounding, from fp64: the 16 highest bits of the fp32 that was rounded to odd."""
    with np.errstate(over="ignore"):
        near = x.astype(np.float32)
    lost = (near.astype(np.float64) != x) & ~np.isnan(x)
    toward = np.nextafter(near, np.float32(0))
    truncated = np.where(lost & (np.abs(near.astype(np.float64)) > np.abs(x)), toward, near).astype(np.float32)
    odd = truncated.view(np.uint32) | lost
    return odd.view(np.float32).astype(DTYPES["bf16"])


@pytest.mark.parametrize("row", rows("cast"))
@pytest.mark.parametrize("target", DTYPES)
def test_every_pair(row: Any, target: str) -> None:
    for count in (1, 15, 257, 3000):
        x = _values(row.a, target, count)
        y = np.empty(count, DTYPES[target])
        native.run_kernel(row.name, "cast", [x], [y])
        with np.errstate(all="ignore"):
            expected = _to_bf16(x) if (row.a, target) == ("fp64", "bf16") else x.astype(DTYPES[target])
        # bf16 compares by its bits, NaN apart: NumPy knows no equality of NaN for it.
        wide = (lambda array: array.astype(np.float32)) if target in ("bf16", "fp16") else (lambda array: array)
        np.testing.assert_array_equal(wide(y), wide(expected))


@pytest.mark.parametrize("row", rows("cast", "fp16"))
def test_every_fp16(row: Any) -> None:
    x = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    y = np.empty(x.shape, np.float32)
    native.run_kernel(row.name, "cast", [x], [y])
    with np.errstate(invalid="ignore"):  # signalling NaNs
        expected = x.astype(np.float32)
    np.testing.assert_array_equal(y, expected)
    back = np.empty_like(x)
    native.run_kernel(row.name.replace("fp16", "fp32"), "cast", [y], [back])
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("row", rows("cast", "fp32", "fp16", "int64", "uint8"))
@pytest.mark.parametrize("target", ["fp32", "bf16", "int32"])
def test_strides(row: Any, target: str) -> None:
    x = _values(row.a, target, 2 * 5 * 3 * 9).reshape(2, 5, 3, 9)
    x = np.clip(np.nan_to_num(x.astype(np.float64)), 0, 100).astype(x.dtype)
    for source in LAYOUTS:
        for destination in LAYOUTS:
            out = LAYOUTS[destination](x.shape, DTYPES[target])
            native.run_kernel(row.name, "cast", [placed(x, source)], [out])
            np.testing.assert_array_equal(out.astype(np.float64), x.astype(DTYPES[target]).astype(np.float64))


@pytest.mark.parametrize("row", rows("cast", "fp32"))
def test_scalars_broadcast_and_cast_like_ignores_its_second_input(row: Any) -> None:
    x, out = np.array(2.75, np.float32), np.empty((3, 40), np.int16)
    native.run_kernel(row.name, "cast_like", [np.broadcast_to(x, out.shape), out], [out])
    assert np.all(out == 2)
