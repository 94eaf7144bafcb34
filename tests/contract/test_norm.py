"""Every normalisation row against fp64: layouts, tails, in place, NaN.

Statistics err by (kNormBlock + 8)·eps of mean|x| (contract.hpp), so y = (x - mean)·inverse·scale + bias by that times
inverse·|scale|, by as much again relative to (x - mean)·inverse·scale for the deviation, and by 4 roundings.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from kernel_cases import DTYPES, LAYOUTS, epsilon, layout_pairs, native, placed, relative, rows

from thew.errors import PlanError

ROWS = rows("norm")
RNG = np.random.default_rng(9)
TERMS = 64 + 8
SHAPES = [
    (2, 19, 9, 11), (1, 64, 7, 7), (3, 16), (2, 12, 30), (1, 96, 1, 2), (2, 6, 2, 3, 4), (1, 1, 5, 5), (2, 8, 40, 41),
    (0, 3, 2, 2),
]  # fmt: skip
Sizes = tuple[int, ...]


def each(values: Any, rank: int) -> Any:
    """One number a channel, against (n, c, …)."""
    return values.astype(np.float64).reshape((1, -1) + (1,) * (rank - 2))


def run(row: Any, op: str, inputs: list[Any], attributes: dict[str, Any], layout: str, other: str, threads: int) -> Any:
    """y in layout `other`; in place where that is empty."""
    x = placed(inputs[0], layout)
    y = placed(np.zeros_like(inputs[0]), other) if other else x
    native.run_kernel(row.name, op, [x, *inputs[1:]], [y], attributes, threads=threads)
    return y


def check(row: Any, op: str, inputs: list[Any], attributes: dict[str, Any], exact: Any, tolerance: Any) -> None:
    for layout, other, threads in (("plain", "plain", 1), ("channels_last", "", 2), ("part", "channels_last", 2)):
        if op == "layer_normalization" and attributes["axis"] != -1 and layout != "plain":
            continue  # the contract wants the normalised axes end to end
        y = run(row, op, inputs, attributes, layout, other, threads)
        assert np.all(np.abs(y - exact) <= tolerance), (layout, other)


def allowed(x: Any, size: Any, exact: Any) -> Any:
    """`size` in eps of the type computed in, and one rounding of the result to 16 bits, or to a subnormal number."""
    smallest = float(ml_dtypes.finfo(x.dtype).smallest_subnormal) if x.dtype.itemsize == 2 else 0.0
    return epsilon(x.dtype) * size + relative(x.dtype, 0) * np.abs(exact) + smallest


def standard(x: Any, axes: tuple[int, ...], epsilon: float) -> tuple[Any, Any]:
    """Standardised x in fp64, and what its error is at most, in eps."""
    wide = x.astype(np.float64)
    mean = wide.mean(axes, keepdims=True)
    inverse = 1 / np.sqrt(((wide - mean) ** 2).mean(axes, keepdims=True) + epsilon)
    size = np.abs(wide).mean(axes, keepdims=True)
    y = (wide - mean) * inverse
    return y, (TERMS * size + np.abs(wide) + np.abs(mean)) * inverse + (TERMS + 4) * np.abs(y)


def operands(row: Any, shape: Sizes) -> list[Any]:
    x = (RNG.standard_normal(shape) * 2 + 3).astype(DTYPES[row.a])
    return [x, *(RNG.standard_normal(shape[1]).astype(x.dtype) for _ in range(2))]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("row", ROWS)
def test_batch(row: Any, shape: Sizes) -> None:
    x, scale, bias = operands(row, shape)
    mean = RNG.standard_normal(shape[1]).astype(x.dtype)
    variance = (RNG.random(shape[1]) + 0.1).astype(x.dtype)
    rank = len(shape)
    scaled = (x - each(mean, rank)) / np.sqrt(each(variance, rank) + 1e-3) * each(scale, rank)
    factor = np.abs(each(scale, rank)) / np.sqrt(each(variance, rank) + 1e-3)
    size = (np.abs(x) + np.abs(each(mean, rank))) * factor + 4 * np.abs(scaled) + np.abs(each(bias, rank))
    exact = scaled + each(bias, rank)
    inputs = [x, scale, bias, mean, variance]
    check(row, "batch_normalization", inputs, {"epsilon": 1e-3}, exact, allowed(x, size, exact))


@pytest.mark.parametrize("groups", [0, 1, 2, -1])
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if 0 not in shape and np.prod(shape[2:]) > 1], ids=str)
@pytest.mark.parametrize("row", ROWS)
def test_groups(row: Any, shape: Sizes, groups: int) -> None:
    """Groups of channels; 0 stands for instance_normalization, -1 for as many groups as channels."""
    x, scale, bias = operands(row, shape)
    count, rank = groups if groups > 0 else shape[1], len(shape)
    if shape[1] % count:
        count = 1
    grouped, error = standard(x.reshape(shape[0], count, -1), (2,), 1e-3)
    exact = grouped.reshape(shape) * each(scale, rank) + each(bias, rank)
    size = error.reshape(shape) * np.abs(each(scale, rank)) + 2 * np.abs(exact) + np.abs(each(bias, rank))
    op = "group_normalization" if groups else "instance_normalization"
    given = {"epsilon": 1e-3, **({"num_groups": count} if groups else {})}
    check(row, op, [x, scale, bias], given, exact, allowed(x, size, exact))


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("shape", [(2, 19, 9, 11), (3, 16), (2, 12, 300), (5, 1), (4, 2000)], ids=str)
@pytest.mark.parametrize("row", ROWS)
def test_layer(row: Any, shape: Sizes, axis: int) -> None:
    x = operands(row, shape)[0]
    axes = tuple(range(axis % len(shape), len(shape)))
    scale, bias = (RNG.standard_normal([shape[i] for i in axes]).astype(x.dtype) for _ in range(2))
    y, error = standard(x, axes, 1e-3)
    for inputs, exact in (([x, scale], y * scale), ([x, scale, bias], y * scale + bias)):
        size = error * np.abs(scale) + 2 * np.abs(exact) + np.abs(bias)
        given = {"axis": axis, "epsilon": 1e-3}
        check(row, "layer_normalization", inputs, given, exact, allowed(x, size, exact))


@pytest.mark.parametrize("beta", [0.75, 0.5])
@pytest.mark.parametrize("size", [5, 2, 1, 40])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("row", ROWS)
def test_local_response(row: Any, shape: Sizes, size: int, beta: float) -> None:
    x = operands(row, shape)[0]
    squares = x.astype(np.float64) ** 2
    before, after = (size - 1) // 2, size // 2
    sums = [squares[:, max(0, i - before) : i + after + 1].sum(1) for i in range(shape[1])]
    base = 1.5 + 0.25 / size * np.stack(sums, 1)
    exact = x / base**beta
    # size + 8 roundings of the base, each turned into beta of itself; of log and exp an ulp each, and 2 products
    error = (size + 8) * beta + beta * np.abs(np.log(base)) + 4
    given = {"size": size, "alpha": 0.25, "beta": beta, "bias": 1.5}
    check(row, "lrn", [x], given, exact, allowed(x, error * np.abs(exact), exact))


@pytest.mark.parametrize("row", ROWS)
def test_strides(row: Any) -> None:
    x, scale, bias = operands(row, (2, 6, 5, 19))
    y, error = standard(x, (2, 3), 1e-3)
    exact = y * each(scale, 4) + each(bias, 4)
    size = error * np.abs(each(scale, 4)) + 2 * np.abs(exact) + np.abs(each(bias, 4))
    tolerance = allowed(x, size, exact)
    for layout, other in layout_pairs():
        found = run(row, "instance_normalization", [x, scale, bias], {"epsilon": 1e-3}, layout, other, 1)
        assert np.all(np.abs(found - exact) <= tolerance), (layout, other)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("row", ROWS)
def test_nan_and_infinity(row: Any, layout: str) -> None:
    """They stay within what is normalised together, and reach all of it."""
    x, scale, bias = operands(row, (2, 20, 3, 5))
    x[0, 3, 1, 1], x[1, 19, 2, 4] = np.nan, np.inf
    y = run(row, "instance_normalization", [x, scale, bias], {}, layout, layout, 1)
    spoiled = np.zeros((2, 20), bool)
    spoiled[0, 3] = spoiled[1, 19] = True
    assert np.array_equal(np.isfinite(y).all((2, 3)), ~spoiled) and np.isnan(y[0, 3]).all()
    y = run(row, "lrn", [x], {"size": 3}, layout, layout, 1)
    assert np.isnan(y[0, 2:5, 1, 1]).all() and np.isnan(y[1, 19, 2, 4]) and np.isnan(y).sum() == 4
    assert y[1, 18, 2, 4] == 0  # x over an infinite sum


@pytest.mark.parametrize("row", ROWS[:1])
def test_refusals(row: Any) -> None:
    x, scale, bias = operands(row, (2, 6, 3, 3))
    y = np.zeros_like(x)
    with pytest.raises(PlanError, match="num_groups"):
        native.run_kernel(row.name, "group_normalization", [x, scale, bias], [y], {"num_groups": 4})
    with pytest.raises(PlanError, match="elements"):
        native.run_kernel(row.name, "instance_normalization", [x, scale[:3].copy(), bias], [y])
    with pytest.raises(PlanError, match="size"):
        native.run_kernel(row.name, "lrn", [x], [y], {"size": 0})
    with pytest.raises(PlanError, match="one output"):
        native.run_kernel(row.name, "layer_normalization", [x, scale], [y, y[:1]], {"axis": -1})
