"""Every binary row against NumPy: broadcasting in all memory layouts, NaN, integers, fused activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from kernel_cases import DTYPES, INTEGERS, LAYOUTS, layout_pairs, native, placed, random, relative, rows, same

WIDE = rows("binary", "fp32", "fp64")
FLOATS = [*WIDE, *rows("binary", "fp16", "bf16")]
WHOLE = rows("binary", *INTEGERS)

# Shapes of a and b: equal, a scalar on either side, a vector per channel, rows against columns, tails.
BROADCASTS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((7,), (7,)), ((300,), ()), ((), (33,)), ((2, 5, 3, 7), (2, 5, 3, 7)), ((2, 19, 3, 7), (19, 1, 1)),
    ((2, 64, 2, 3), (1, 64, 1, 1)), ((4, 1), (1, 21)), ((3, 1, 5), (3, 40, 1)), ((0, 3), (3,)), ((2, 300), (2, 1)),
)  # fmt: skip

ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "min": np.minimum,
    "max": np.maximum,
    "prelu": lambda a, b: np.where(a < 0, a * b, a),
}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "equal": np.equal,
    "greater": np.greater,
    "less": np.less,
    "greater_or_equal": np.greater_equal,
    "less_or_equal": np.less_equal,
}


def _run(row: Any, op: str, a: Any, b: Any, attributes: dict[str, Any] | None = None, threads: int = 1) -> Any:
    dtype = np.bool_ if op in COMPARISONS else a.dtype
    out = np.empty(np.broadcast_shapes(a.shape, b.shape), dtype)
    native.run_kernel(row.name, op, [a, b], [out], attributes, threads=threads)
    return out


def _specials(dtype: Any) -> tuple[Any, Any]:
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.5, ml_dtypes.finfo(dtype).max], dtype)
    return tuple(np.ascontiguousarray(side) for side in np.broadcast_arrays(values[:, None], values[None, :]))


@pytest.mark.parametrize("row", FLOATS)
@pytest.mark.parametrize("op", [*ARITHMETIC, *COMPARISONS])
def test_values_and_broadcasting(row: Any, op: str) -> None:
    oracle = (ARITHMETIC | COMPARISONS)[op]
    for shape_a, shape_b in BROADCASTS:
        a, b = random(row.a, shape_a, 1), random(row.a, shape_b, 2)
        with np.errstate(over="ignore", divide="ignore"):
            assert np.array_equal(_run(row, op, a, b), oracle(a, b)), (shape_a, shape_b)
    a, b = _specials(DTYPES[row.a])
    with np.errstate(all="ignore"):
        assert same(_run(row, op, a, b), oracle(a, b))


@pytest.mark.parametrize("row", FLOATS)
@pytest.mark.parametrize("shapes", BROADCASTS, ids=str)
def test_strides(row: Any, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    a, b = random(row.a, shapes[0], 1), random(row.a, shapes[1], 2)
    for layout_a, layout_b in layout_pairs():
        for layout in LAYOUTS:
            out = LAYOUTS[layout](np.broadcast_shapes(*shapes), a.dtype)
            native.run_kernel(row.name, "mul", [placed(a, layout_a), placed(b, layout_b)], [out])
            assert np.array_equal(out, a * b), (layout_a, layout_b, layout)


@pytest.mark.parametrize("row", [*FLOATS, *WHOLE])
@pytest.mark.parametrize(("cols", "threads"), [(2, 1), (12, 2), (85, 1)])
def test_short_rows_against_one_that_repeats(row: Any, cols: int, threads: int) -> None:
    """As of pixels with few channels: dense, with gaps between blocks of rows, in place, with other bytes written."""
    a, b = random(row.a, (3, 301, cols), 1), random(row.a, (cols,), 2)
    assert np.array_equal(_run(row, "max", a, b, threads=threads), np.maximum(a, b))
    assert np.array_equal(_run(row, "less", b, a, threads=threads), b < a)
    whole = random(row.a, (4, 350, cols), 3)
    part, kept = whole[1:, 7:308], whole.copy()
    kept[1:, 7:308] = np.minimum(part, b)
    native.run_kernel(row.name, "min", [part, b], [part], threads=threads)
    assert np.array_equal(whole, kept)


@pytest.mark.parametrize("row", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_place(row: Any, layout: str) -> None:
    for shape_a, shape_b in BROADCASTS:
        if np.broadcast_shapes(shape_a, shape_b) != shape_a:
            continue
        a, b = random(row.a, shape_a, 1), random(row.a, shape_b, 2)
        for order in (1, -1):  # the output is the first input, then the second
            x = placed(a, layout)
            native.run_kernel(row.name, "sub", [x, b][::order], [x])
            assert np.array_equal(x, order * (a - b))


@pytest.mark.parametrize("row", FLOATS)
@pytest.mark.parametrize(
    ("activation", "parameters", "oracle"),
    [
        ("relu", (), lambda x: np.maximum(x, 0)),
        ("clip", (-0.5, 6.0), lambda x: np.clip(x, -0.5, 6)),
        ("leaky_relu", (0.25,), lambda x: np.where(x < 0, x * 0.25, x)),
        ("hard_swish", (), lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
        ("hard_sigmoid", (0.25, 0.5), lambda x: np.clip(x * 0.25 + 0.5, 0, 1)),
        ("sigmoid", (), lambda x: 1 / (1 + np.exp(-x))),
        ("silu", (), lambda x: x / (1 + np.exp(-x))),
        ("tanh", (), np.tanh),
        ("elu", (0.5,), lambda x: np.where(x < 0, 0.5 * np.expm1(np.minimum(x, 0)), x)),
    ],
)
@pytest.mark.parametrize("op", ["add", "mul"])
def test_fused_activations(row: Any, op: str, activation: str, parameters: tuple[float, ...], oracle: Any) -> None:
    shapes = enumerate(((2, 19, 3, 7), (19, 1, 1)), 1)
    a, b = (np.clip(random(row.a, shape, seed), -9, 9).astype(DTYPES[row.a]) for seed, shape in shapes)
    attributes = {"activation": activation, "activation_parameters": parameters}
    y = _run(row, op, a, b, {name: value for name, value in attributes.items() if value != ()})
    exact = oracle(ARITHMETIC[op](a.astype(np.float64), b.astype(np.float64)))
    # One rounding of the sum or product, a few of the activation; the slope of each is at most about 1.1.
    bound = relative(a.dtype, 4)
    np.testing.assert_allclose(y.astype(np.float64), exact, rtol=bound, atol=bound)


@pytest.mark.parametrize("row", WHOLE)
@pytest.mark.parametrize("op", ["add", "sub", "mul", "min", "max", "bitwise_and", "bitwise_or", "bitwise_xor"])
def test_integers(row: Any, op: str) -> None:
    bits = {"bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor}
    for shape_a, shape_b in BROADCASTS:
        a, b = random(row.a, shape_a, 1), random(row.a, shape_b, 2)
        with np.errstate(over="ignore"):
            assert np.array_equal(_run(row, op, a, b), (ARITHMETIC | bits)[op](a, b))


@pytest.mark.parametrize("row", [*WHOLE, *rows("binary", "bool")])
@pytest.mark.parametrize("op", COMPARISONS)
def test_integer_comparisons(row: Any, op: str) -> None:
    if row.a == "bool" and op != "equal":
        pytest.skip("bool compares for equality only")
    for shape_a, shape_b in BROADCASTS:
        a, b = random(row.a, shape_a, 1), random(row.a, shape_b, 2)
        b = np.where(random("bool", np.broadcast_shapes(shape_a, shape_b)), a, b)
        assert np.array_equal(_run(row, op, a, b), COMPARISONS[op](a, b))


@pytest.mark.parametrize("row", WHOLE)
def test_integer_division(row: Any) -> None:
    a, b = random(row.a, (400,), 1), random(row.a, (400,), 2)
    limits = np.iinfo(a.dtype)
    b[:200] = np.arange(200) % 100 + 1
    b[b == 0] = 3
    a[:3], b[:3] = limits.min, (1, limits.max, 3)
    quotient = a // b + ((a % b != 0) & ((a < 0) != (b < 0))).astype(a.dtype)  # NumPy floors, ONNX truncates
    assert np.array_equal(_run(row, "div", a, b), quotient)
    assert np.array_equal(_run(row, "mod", a, b), np.mod(a, b))
    assert np.array_equal(_run(row, "mod", a, b, {"fmod": 1}), np.fmod(a, b))
    zero = np.zeros(1, a.dtype)
    for op in ("div", "mod"):
        assert np.all(_run(row, op, a, zero) == 0)
    if limits.min < 0:  # the quotient that does not fit wraps, and does not trap
        lowest, minus = np.array([limits.min], a.dtype), np.array([-1], a.dtype)
        assert _run(row, "div", lowest, minus)[0] == limits.min
        assert _run(row, "mod", lowest, minus)[0] == 0


@pytest.mark.parametrize("row", rows("binary", "fp32", "fp64", "int32", "int64"))
def test_powers(row: Any) -> None:
    whole = row.a in INTEGERS
    base = np.arange(-6, 7).astype(DTYPES[row.a]) if whole else np.abs(random(row.a, (50,)))
    for exponent in (0, 1, 2, 3) if whole else (0, 1, 2, 3, -1, 0.5, -2.5):
        typed = np.array(exponent, base.dtype)
        exact = np.power(base.astype(np.longdouble), exponent)
        y = _run(row, "pow", base, typed)
        np.testing.assert_allclose(y, exact.astype(base.dtype), rtol=0 if whole else 2 * np.finfo(base.dtype).eps)
    if not whole:
        for kind in ("int32", "int64", "fp32", "fp64"):  # an exponent of another type
            y = _run(row, "pow", base, np.array(2, DTYPES[kind]))
            np.testing.assert_array_equal(y, base * base)
        a, b = np.broadcast_arrays(base[:, None], random(row.a, (7,))[None])
        y = _run(row, "pow", a, b)
        with np.errstate(over="ignore"):
            exact = np.power(a.astype(np.longdouble), b.astype(np.longdouble)).astype(base.dtype)
        np.testing.assert_allclose(y, exact, rtol=2 * np.finfo(base.dtype).eps, atol=np.finfo(base.dtype).tiny)


@pytest.mark.parametrize("row", WIDE)
def test_remainders(row: Any) -> None:
    a, b = random(row.a, (300,), 1), random(row.a, (300,), 2)
    a[:2], b[:2] = (0.0, -6.0), (-3.0, 3.0)
    with np.errstate(all="ignore"):
        assert np.array_equal(_run(row, "mod", a, b), np.mod(a, b))
        assert np.array_equal(_run(row, "mod", a, b, {"fmod": 1}), np.fmod(a, b))


@pytest.mark.parametrize("row", rows("binary", "bool"))
@pytest.mark.parametrize(("op", "oracle"), [("and", np.logical_and), ("or", np.logical_or), ("xor", np.logical_xor)])
def test_logic(row: Any, op: str, oracle: Any) -> None:
    for shape_a, shape_b in BROADCASTS:
        a, b = random("bool", shape_a, 1), random("bool", shape_b, 2)
        assert np.array_equal(_run(row, op, a, b), oracle(a, b))


@pytest.mark.parametrize("row", FLOATS)
def test_threads_share_the_work(row: Any) -> None:
    a, b = random(row.a, (3, 64, 40, 40), 1), random(row.a, (64, 1, 1), 2)
    for layout in ("plain", "channels_last"):
        assert np.array_equal(_run(row, "add", placed(a, layout), b, threads=3), a + b)
