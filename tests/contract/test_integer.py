"""Every row of 8-bit products against exact integers: conv, depthwise and matmul, all dtypes, zero points and layouts.

The oracle is the ops' definition in NumPy: sums in int64, requantised as documented. Equality is exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import LAYOUTS, NO_PADS, Case, native, placed, random, rows

from thew import ops
from thew.errors import PlanError
from thew.ops.qlinear import RESIDUAL

ROWS = rows("integer")
CONVOLUTIONS = [*ROWS, *rows("depthwise", "int8", "uint8")]
BYTES = ("int8", "uint8")
RNG = np.random.default_rng(5)


CASES = (
    Case(3, 16, 11, 12, strides=(2, 2), pads=(0, 0, 1, 1)), Case(32, 32, 9, 11), Case(19, 47, 8, 7, n=2),
    Case(8, 8, 10, 10, dilations=(2, 3), pads=(2, 3, 2, 3)), Case(12, 18, 7, 9, group=3),
    Case(1, 5, 6, 7, (5, 3), pads=(2, 1, 2, 1)), Case(5, 7, 4, 4, pads=(5, 4, 3, 6)),
    Case(64, 32, 7, 7, (1, 1), pads=NO_PADS), Case(24, 100, 5, 13, (1, 1), pads=NO_PADS, n=2),
    Case(40, 17, 9, 8, (1, 1), (2, 2), NO_PADS), Case(300, 9, 3, 3, (1, 1), pads=NO_PADS),
    Case(32, 32, 9, 19, group=32), Case(50, 50, 11, 10, strides=(2, 2), group=50, n=2), Case(7, 14, 6, 6, group=7),
    Case(20, 20, 9, 9, (5, 5), pads=(2, 2, 2, 2), group=20), Case(16, 16, 20, 8, dilations=(2, 1), group=16),
    Case(104, 104, 11, 9, strides=(2, 2), group=13), Case(96, 96, 7, 15, group=3), Case(12, 12, 9, 10, group=3, n=2),
    Case(64, 64, 6, 5, (3, 2), (2, 1), (1, 0, 1, 1), (2, 1), group=4), Case(40, 40, 8, 8, group=10),
)  # fmt: skip


def fits(row: Any, case: Case) -> bool:
    width = case.c // case.group
    if row.algorithm == "grouped":
        return case.c == case.oc > width and width % 4 == 0
    if row.family == "depthwise":
        return case.group == case.c > 1
    return (row.algorithm == "packed") == (case.kernel == (1, 1) and case.pads == NO_PADS)


def zero_of(dtype: str, extreme: bool) -> Any:
    limits = np.iinfo(dtype)
    return np.array(limits.max - 3 if extreme else (limits.max + limits.min + 1) // 2 + 1, dtype)


def operands(x: Any, w: Any, channels: int, per_channel: bool, symmetric: bool, y: str) -> list[Any]:
    """Inputs of a qlinear op; scales that spread the results over y's range, with many on it."""
    size = (channels,) if per_channel else ()
    w_zero = np.zeros(size, w.dtype) if symmetric else RNG.integers(0, 100, size).astype(w.dtype)
    products = x.size // max(x.shape[0], 1) + w[0].size
    y_scale = np.array(3.0 * np.sqrt(products), np.float32)
    scales = [np.array(0.05, np.float32), RNG.uniform(0.5, 2, size).astype(np.float32)]
    return [x, scales[0], zero_of(x.dtype.name, False), w, scales[1], w_zero, y_scale, zero_of(y, False)]


def check(row: Any, op: str, inputs: list[Any], attributes: dict[str, Any], layouts: tuple[str, str]) -> None:
    (expected,) = ops.get(op).reference(attributes, *inputs)
    out = LAYOUTS[layouts[1]](expected.shape, expected.dtype)
    given = [placed(inputs[0], layouts[0]), *inputs[1:]]
    if len(given) > RESIDUAL:
        given[RESIDUAL] = placed(inputs[RESIDUAL], layouts[1])
    kept = {name: value for name, value in attributes.items() if value is not None}
    constants = [index for index in range(1, len(given)) if index != RESIDUAL]
    native.run_kernel(row.name, op, given, [out], kept, constants=constants)
    np.testing.assert_array_equal(out, expected)
    if row.family == "integer":  # weights, scales and zero points that are known only when it runs
        out[...] = 0
        native.run_kernel(row.name, op, given, [out], kept)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("row", CONVOLUTIONS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_convolutions(row: Any, case: Case) -> None:
    if not fits(row, case):
        pytest.skip("another row's")
    x = random(row.a, (case.n, case.c, case.h, case.w))
    for w_dtype, per_channel, symmetric in (("int8", True, True), ("uint8", False, False), ("int8", True, False)):
        w = random(w_dtype, (case.oc, case.c // case.group, *case.kernel), 1)
        inputs = operands(x, w, case.oc, per_channel, symmetric, row.a)
        if row.algorithm == "grouped" and not symmetric:  # which must be bytes less their zero points, too
            inputs[3] = np.clip(w, inputs[5].min(), inputs[5].min() + 27).astype(w.dtype)
        bias = RNG.integers(-9999, 9999, case.oc).astype(np.int32)
        check(row, "qlinear_conv", [*inputs, bias], case.attributes, ("channels_last", "channels_last"))
        limits = {"low": 3, "high": 90}
        check(row, "qlinear_conv", inputs, {**case.attributes, **limits}, ("channels_last", "plain"))
        if row.family == "integer":
            check(row, "conv_integer", [x, w, inputs[2], inputs[5]], case.attributes, ("plain", "channels_last"))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("y_dtype", BYTES)
@pytest.mark.parametrize("layout", ["channels_last", "plain", "part"])
def test_residuals(row: Any, y_dtype: str, layout: str) -> None:
    """The bits of qlinear_conv and qlinear_add, one after the other; the sum may lie on its residual."""
    pointwise = row.algorithm == "packed"
    for n, c, oc in ((1, 40, 47), (2, 16, 32)):
        x, w = random(row.a, (n, c, 9, 7)), random("int8", (oc, c, *((1, 1) if pointwise else (3, 3))), 1)
        inputs = [*operands(x, w, oc, True, True, y_dtype), RNG.integers(-9999, 9999, oc).astype(np.int32)]
        residual = random(y_dtype, (n, oc, 9, 7), 2)
        scales = [np.asarray(inputs[6] * np.float32(factor)) for factor in (0.6, 1.1)]
        summed = [residual, scales[0], zero_of(y_dtype, True), scales[1], zero_of(y_dtype, False)]
        attributes = {"pads": NO_PADS if pointwise else (1, 1, 1, 1)}
        for limits in ({}, {"low": 20, "high": 90}):
            check(row, "qlinear_conv", [*inputs, *summed], {**attributes, **limits}, ("channels_last", layout))
        (expected,) = ops.get("qlinear_conv").reference(attributes, *inputs, *summed)
        (first,) = ops.get("qlinear_conv").reference(attributes, *inputs)
        (second,) = ops.get("qlinear_add").reference({}, first, *inputs[6:8], *summed)
        np.testing.assert_array_equal(expected, second)
        out = placed(residual, layout)
        native.run_kernel(row.name, "qlinear_conv", [x, *inputs[1:], out, *summed[1:]], [out], attributes)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("row", [row for row in ROWS if row.values[0].algorithm == "packed"])
@pytest.mark.parametrize(
    "shape", [(1, 5, 7), (14, 32, 32), (15, 33, 33), (3, 130, 67), (70, 64, 40), (2, 600, 5), (4, 0, 3)], ids=str
)
def test_products(row: Any, shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    a = random(row.a, (m, k))
    for w_dtype, per_channel, symmetric in (("int8", True, True), ("uint8", False, False), ("int8", True, False)):
        b = random(w_dtype, (k, n), 1)
        size = (n,) if per_channel else ()
        zero = np.zeros(size, b.dtype) if symmetric else RNG.integers(0, 100, size).astype(b.dtype)
        a_zero = zero_of(row.a, True)
        bias = RNG.integers(-9999, 9999, n).astype(np.int32)
        scales = [np.array(0.1, np.float32), RNG.uniform(0.5, 2, size).astype(np.float32)]
        steps = [np.array(30 * np.sqrt(k + 1), np.float32), zero_of(row.a, False)]
        inputs = [a, scales[0], a_zero, b, scales[1], zero, *steps, bias]
        for layouts in (("plain", "plain"), ("every_other", "part"), ("reversed", "every_other")):
            check(row, "qlinear_matmul", inputs, {"low": None, "high": None}, layouts)
        check(row, "matmul_integer", [a, b, a_zero, zero], {}, ("plain", "plain"))


@pytest.mark.parametrize("row", [row for row in ROWS if row.values[0].algorithm == "packed"])
def test_batches_of_products_and_threads(row: Any) -> None:
    a, b = random(row.a, (3, 40, 50)), random("int8", (3, 50, 70), 1)
    zeros = [zero_of(row.a, True), np.array(3, np.int8)]
    (expected,) = ops.get("matmul_integer").reference({}, a, b, *zeros)
    out = np.empty(expected.shape, np.int32)
    native.run_kernel(row.name, "matmul_integer", [a, b, *zeros], [out], threads=2)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("row", [row for row in rows("quant", *BYTES) if row.values[0].algorithm == "pairs"])
@pytest.mark.parametrize("op", ["qlinear_add", "qlinear_mul"])
def test_pairs(row: Any, op: str) -> None:
    for left, right in (((2, 19, 5, 7), (2, 19, 5, 7)), ((2, 19, 5, 7), (2, 19, 1, 1)), ((3, 67), (3, 1)), ((5,), ())):
        a, b = random(row.a, left), random(row.a, right, 1)
        scales = [np.array(scale, np.float32) for scale in (0.11, 0.07, 0.15 if op == "qlinear_add" else 0.9)]
        zeros = [zero_of(row.a, False), zero_of(row.a, True), zero_of(row.a, False)]
        inputs = [a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2]]
        for attributes in ({"low": None, "high": None}, {"low": 5, "high": 100}):
            (expected,) = ops.get(op).reference(attributes, *inputs)
            for layout in LAYOUTS:
                out = LAYOUTS[layout](expected.shape, expected.dtype)
                given = [placed(a, layout), *inputs[1:3], placed(b, layout), *inputs[4:]]
                kept = {name: value for name, value in attributes.items() if value is not None}
                native.run_kernel(row.name, op, given, [out], kept, constants=(1, 2, 4, 5, 6, 7))
                np.testing.assert_array_equal(out, expected)


def test_what_rows_refuse() -> None:
    row = next(found.values[0] for found in ROWS if found.values[0].algorithm == "packed")
    a, b = random(row.a, (4, 8)), random("int8", (8, 3))
    with pytest.raises(PlanError, match="zero point must be one number"):
        zeros = np.zeros(4, a.dtype)  # one a row
        native.run_kernel(row.name, "matmul_integer", [a, b, zeros], [np.empty((4, 3), np.int32)])
    image, weight = random(row.a, (1, 8, 2, 2)), random("int8", (3, 8, 1, 1))
    inputs = [*operands(image, weight, 3, False, True, row.a), None, random(row.a, (1, 3, 2, 2))]
    with pytest.raises(PlanError, match="a residual must have its scale and zero point"):
        native.run_kernel(row.name, "qlinear_conv", inputs, [np.empty((1, 3, 2, 2), row.a)])
    with pytest.raises(PlanError, match="weights must be int8 or uint8"):
        native.run_kernel(row.name, "matmul_integer", [a, b.astype(np.int16)], [np.empty((4, 3), np.int32)])
