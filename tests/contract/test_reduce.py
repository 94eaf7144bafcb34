"""Every reduction row against NumPy in fp64 or int64: axes, strides, tails, nothing to reduce, NaN and Inf, arg_max.

Sums: |error| <= (kReduceBlock + n / kReduceBlock + 12)·eps·Σ|terms| (contract.hpp), or n + 12 instead if that is less;
a logarithm turns a relative error into an absolute one. A product of n factors: 2·n·eps relative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from kernel_cases import DTYPES, LAYOUTS, epsilon, native, placed, relative, rows, same

from thew.errors import PlanError

ROWS = rows("reduce")
FLOATS = rows("reduce", "fp32", "fp64")
STORED = rows("reduce", "fp16", "bf16")
INTEGERS = rows("reduce", "int32", "int64")
BYTES = rows("reduce", "int8", "uint8")
RNG = np.random.default_rng(8)
BLOCK = 256

REALS: dict[str, Callable[[Any, tuple[int, ...]], Any]] = {
    "sum": lambda x, axes: x.sum(axes),
    "mean": lambda x, axes: x.mean(axes),
    "max": lambda x, axes: x.max(axes, initial=-np.inf),
    "min": lambda x, axes: x.min(axes, initial=np.inf),
    "prod": lambda x, axes: x.prod(axes),
    "l1": lambda x, axes: np.abs(x).sum(axes),
    "l2": lambda x, axes: np.sqrt((x * x).sum(axes)),
    "sum_square": lambda x, axes: (x * x).sum(axes),
    "log_sum": lambda x, axes: np.log(x.sum(axes)),
    "log_sum_exp": lambda x, axes: np.log(np.exp(x).sum(axes)),
}
OF_STORED = ("sum", "mean", "max", "min")
WHOLE = ("sum", "max", "min", "prod", "l1", "sum_square")

CASES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 19, 9, 11), (2, 3)), ((2, 19, 9, 11), (1,)), ((2, 19, 9, 11), (0, 2)), ((3, 70), (1,)), ((3, 70), (0,)),
    ((2, 3, 4, 5), (0, 1, 2, 3)), ((5,), (0,)), ((2, 6, 5), ()), ((2, 20000), (1,)), ((1200, 40), (0,)),
    ((2, 1, 3), (1,)),
]  # fmt: skip
EMPTY: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((2, 0, 3), (1,)), ((0, 3), (1,)), ((0,), (0,))]


def reduced(
    row: Any, op: str, x: Any, axes: tuple[int, ...], like: Any, layout: str, keep: bool, threads: int = 1
) -> Any:
    """What the row gives for x, its axes dropped whatever `keep` asks of the kernel."""
    shape = tuple(1 if axis in axes else extent for axis, extent in enumerate(x.shape)) if keep else like.shape
    y = placed(np.full(shape, 7, like.dtype), layout)
    native.run_kernel(row.name, op, [placed(x, layout)], [y], {"axes": list(axes)}, threads=threads)
    return np.asarray(y).reshape(like.shape)


def allowed(op: str, x: Any, axes: tuple[int, ...], exact: Any) -> Any:
    count = int(np.prod([x.shape[axis] for axis in axes]))
    terms = (min(count, BLOCK + count / BLOCK) + 12) * epsilon(x.dtype)
    wide = np.abs(x.astype(np.float64))
    scale = {
        "sum": lambda: wide.sum(axes),
        "mean": lambda: wide.mean(axes),
        "max": lambda: 0 * exact,
        "min": lambda: 0 * exact,
        "prod": lambda: 2 * np.abs(exact) + float(ml_dtypes.finfo(x.dtype).tiny) / terms,
        "log_sum": lambda: 1 + np.abs(exact),
        "log_sum_exp": lambda: 1 + np.abs(exact),
    }.get(op, lambda: np.abs(exact))
    terms = terms if op != "prod" else max(terms, count * epsilon(x.dtype))
    return terms * scale() + relative(x.dtype, 0) * np.abs(exact)


OPS = [pytest.param(row.values[0], op, id=f"{row.id}-{op}") for row in FLOATS for op in REALS]
OPS += [pytest.param(row.values[0], op, id=f"{row.id}-{op}") for row in STORED for op in OF_STORED]


@pytest.mark.parametrize(("shape", "axes"), CASES, ids=str)
@pytest.mark.parametrize(("row", "op"), OPS)
def test_reals(row: Any, op: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x = RNG.standard_normal(shape).astype(DTYPES[row.a])
    if op in ("log_sum", "prod"):
        x = np.abs(x) + x.dtype.type(0.5)
    if op == "prod":  # products that neither vanish nor overflow
        x **= x.dtype.type(1 / max(1, x.size) ** 0.5)
    exact = REALS[op](x.astype(np.float64), axes)
    for keep, layout in ((False, "plain"), (True, "channels_last"), (True, "part")):
        y = reduced(row, f"reduce_{op}", x, axes, exact.astype(x.dtype), layout, keep, 1 + keep)
        assert np.all(np.abs(y - exact) <= allowed(op, x, axes, exact)), layout


@pytest.mark.parametrize(("row", "op"), OPS)
def test_nan_and_infinity(row: Any, op: str) -> None:
    x = np.abs(RNG.standard_normal((4, 40))).astype(DTYPES[row.a]) + x_least(row)
    x[0, 3], x[1, 39], x[2, 20] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        for values, axis in ((x, 1), (x.T.copy(), 0)):
            exact = REALS[op](values.astype(np.float64), (axis,))
            y = reduced(row, f"reduce_{op}", values, (axis,), exact.astype(x.dtype), "plain", False)
            odd = ~np.isfinite(exact)
            assert same(y[odd], exact[odd].astype(x.dtype))
            assert np.isfinite(y[~odd]).all()


def x_least(row: Any) -> Any:
    return DTYPES[row.a](0.5)


@pytest.mark.parametrize(("shape", "axes"), EMPTY, ids=str)
@pytest.mark.parametrize("op", [op for op in REALS if op != "mean"])
@pytest.mark.parametrize("row", FLOATS)
def test_nothing(row: Any, op: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x = np.zeros(shape, DTYPES[row.a])
    with np.errstate(divide="ignore"):
        exact = REALS[op](x, axes)
    assert np.array_equal(reduced(row, f"reduce_{op}", x, axes, exact, "plain", False), exact)


@pytest.mark.parametrize(("shape", "axes"), CASES, ids=str)
@pytest.mark.parametrize("op", WHOLE)
@pytest.mark.parametrize("row", INTEGERS)
def test_integers(row: Any, op: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x = RNG.integers(-1000, 1000, shape, DTYPES[row.a])
    with np.errstate(over="ignore"):  # products wrap, here as there
        function = getattr(np, {"l1": "sum", "sum_square": "sum"}.get(op, op))
        terms = {"l1": np.abs(x), "sum_square": x * x}.get(op, x)
        exact = np.asarray(function(terms, axis=axes) if axes else terms, x.dtype)
        exact = exact if op in ("max", "min") or not axes else np.asarray(function(terms, axis=axes, dtype=x.dtype))
    for layout in ("plain", "channels_last", "part"):
        assert np.array_equal(reduced(row, f"reduce_{op}", x, axes, exact, layout, True), exact)


@pytest.mark.parametrize(("shape", "axes"), CASES, ids=str)
@pytest.mark.parametrize("row", BYTES)
def test_bytes(row: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    limits = np.iinfo(DTYPES[row.a])
    x = RNG.integers(limits.min, limits.max, shape, DTYPES[row.a], endpoint=True)
    for op, exact in (("max", x.max(axes)), ("min", x.min(axes))):
        exact = np.asarray(exact)
        for layout in ("plain", "channels_last", "part"):
            assert np.array_equal(reduced(row, f"reduce_{op}", x, axes, exact, layout, True), exact)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("row", [*FLOATS, *STORED])
def test_strides(row: Any, layout: str) -> None:
    x = RNG.standard_normal((2, 5, 6, 19)).astype(DTYPES[row.a])
    for axes in ((1,), (3,), (1, 2), (2, 3), (0, 1, 2, 3)):
        for op in ("sum", "max", "log_sum_exp" if row.a.startswith("fp") and row.a != "fp16" else "mean"):
            exact = np.asarray(REALS[op](x.astype(np.float64), axes))
            y = reduced(row, f"reduce_{op}", x, axes, exact.astype(x.dtype), layout, True, 2)
            assert np.all(np.abs(y - exact) <= allowed(op, x, axes, exact)), (axes, op)


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("op", ["arg_max", "arg_min"])
@pytest.mark.parametrize("row", [*FLOATS, *INTEGERS])
def test_places(row: Any, op: str, last: int) -> None:
    """Ties and NaN: the first, or the last, as NumPy has it."""
    find = np.argmax if op == "arg_max" else np.argmin
    for shape in ((2, 19, 9, 11), (3, 70), (1, 1), (1000, 5), (4, 1000)):
        x = RNG.integers(-6, 6, shape).astype(DTYPES[row.a])
        if x.dtype.kind == "f":
            x.flat[x.size // 2], x.flat[-1] = np.nan, np.nan
        for axis in range(len(shape)):
            flipped = shape[axis] - 1 - find(np.flip(x, axis), axis)
            exact = np.asarray(flipped if last else find(x, axis), np.int64)
            for layout in ("plain", "channels_last", "part"):
                y = placed(np.zeros_like(exact), layout)
                given = {"axis": axis - len(shape), "select_last_index": last}
                native.run_kernel(row.name, op, [placed(x, layout)], [y], given, threads=2)
                assert np.array_equal(y, exact), (shape, axis, layout)


@pytest.mark.parametrize("row", ROWS[:1])
def test_refusals(row: Any) -> None:
    x = np.zeros((2, 3), DTYPES[row.a])
    for axes, y, reason in (
        ((2,), x[0], "axes"),
        ((1, 1), x[:, 0], "axes"),
        ((1,), x[0], "extent"),
        ((0,), x[:1, :1, None], "rank"),
    ):
        with pytest.raises(PlanError, match=reason):
            native.run_kernel(row.name, "reduce_sum", [x], [y.copy()], {"axes": list(axes)})
    with pytest.raises(PlanError, match="axis must have"):
        native.run_kernel(row.name, "arg_max", [np.zeros((0, 2), x.dtype)], [np.zeros(2, np.int64)], {"axis": 0})
