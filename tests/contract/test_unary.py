"""Every unary row against NumPy in a wider type: accuracy in ulp, special values, strides, tails, in place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, INTEGERS, LAYOUTS, SHAPES, layout_pairs, native, placed, random, rows, same, ulps

FLOATS = rows("unary", "fp32", "fp64")
STORED = rows("unary", "fp16", "bf16")
_erf = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x: Any) -> Any:
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1) / (1 + small)


def _gated(x: Any, gate: Any) -> Any:
    return np.where(gate == 0, 0, x * gate)


# The exact function (of a longdouble array), the range it is tried on, and how far in ulp a result may be off. Where
# the bound is relative to |x| instead (the result is x times a rounded factor), it is the last column, in eps.
Exact = Callable[[Any], Any]
FUNCTIONS: dict[str, tuple[Exact, tuple[float, float], float, float]] = {
    "abs": (np.abs, (-1e3, 1e3), 0, 0),
    "neg": (np.negative, (-1e3, 1e3), 0, 0),
    "exp": (np.exp, (-87, 88), 1.1, 0),
    "log": (np.log, (1e-30, 1e30), 1, 0),
    "sqrt": (np.sqrt, (0, 1e6), 0.5, 0),
    "reciprocal": (lambda x: 1 / x, (-1e3, 1e3), 0.5, 0),
    "floor": (np.floor, (-1e3, 1e3), 0, 0),
    "ceil": (np.ceil, (-1e3, 1e3), 0, 0),
    "round": (np.rint, (-1e3, 1e3), 0, 0),
    "sign": (np.sign, (-1e3, 1e3), 0, 0),
    "relu": (lambda x: np.maximum(x, 0), (-1e3, 1e3), 0, 0),
    "leaky_relu": (lambda x: np.where(x < 0, x * 0.25, x), (-1e3, 1e3), 0.5, 0),
    "elu": (lambda x: np.where(x < 0, 0.25 * np.expm1(np.minimum(x, 0)), x), (-50, 50), 2.5, 0),
    "selu": (lambda x: 1.5 * np.where(x < 0, 0.25 * np.expm1(np.minimum(x, 0)), x), (-50, 50), 3.5, 0),
    "celu": (lambda x: np.where(x < 0, 0.25 * np.expm1(np.minimum(x, 0) / 0.25), x), (-50, 50), 2.5, 0),
    "sigmoid": (_sigmoid, (-80, 80), 2.5, 0),
    "hard_sigmoid": (lambda x: np.clip(x * 0.25 + 0.5, 0, 1), (-4, 4), 0, 1),
    "hard_swish": (lambda x: x * np.clip(x / 6 + 0.5, 0, 1), (-8, 8), 0, 2),
    "silu": (lambda x: x * _sigmoid(x), (-80, 80), 4, 0),
    "swish": (lambda x: x * _sigmoid(x * 0.25), (-80, 80), 4, 0),
    "tanh": (np.tanh, (-9, 9), 3, 0),
    "softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), (-80, 80), 2.5, 0),
    "softsign": (lambda x: x / (1 + np.abs(x)), (-1e3, 1e3), 1.5, 0),
    "gelu": (lambda x: x * (0.5 + 0.5 * _erf((x / math.sqrt(2)).astype(np.float64))), (-6, 6), 0, 2),
    "gelu_tanh": (lambda x: x * (0.5 + 0.5 * np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), (-6, 6), 0, 6),
    "erf": (lambda x: _erf(x.astype(np.float64)), (-6, 6), 2, 0),
    "mish": (lambda x: x * np.tanh(np.log1p(np.exp(x))), (-30, 60), 8, 0),
    "thresholded_relu": (lambda x: np.where(x <= 0.25, 0, x), (-4, 4), 0, 0),
    "sin": (np.sin, (-10, 10), 1, 0),
    "cos": (np.cos, (-10, 10), 1, 0),
    "tan": (np.tan, (-10, 10), 1.5, 0),
    "asin": (np.arcsin, (-1, 1), 1.5, 0),
    "acos": (np.arccos, (-1, 1), 1.5, 0),
    "atan": (np.arctan, (-10, 10), 1.5, 0),
    "sinh": (np.sinh, (-20, 20), 2.5, 0),
    "cosh": (np.cosh, (-20, 20), 2.5, 0),
    "asinh": (np.arcsinh, (-20, 20), 2.5, 0),
    "acosh": (np.arccosh, (1, 20), 2.5, 0),
    "atanh": (np.arctanh, (-0.99, 0.99), 2.5, 0),
}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "leaky_relu": {"alpha": 0.25},
    "elu": {"alpha": 0.25},
    "selu": {"alpha": 0.25, "gamma": 1.5},
    "celu": {"alpha": 0.25},
    "hard_sigmoid": {"alpha": 0.25, "beta": 0.5},
    "swish": {"alpha": 0.25},
    "thresholded_relu": {"alpha": 0.25},
    "gelu_tanh": {"approximate": "tanh"},
}


def _run(row: Any, op: str, x: Any, out: Any = None, threads: int = 1) -> Any:
    out = np.empty_like(x) if out is None else out
    native.run_kernel(row.name, op.removesuffix("_tanh"), [x], [out], ATTRIBUTES.get(op, {}), threads=threads)
    return out


def _tried(low: float, high: float, dtype: Any) -> Any:
    """A range evenly, and its part near zero by magnitude."""
    rng = np.random.default_rng(3)
    small = rng.choice([-1.0, 1.0], 2000) * 10.0 ** rng.uniform(-6, 0, 2000)
    spread = np.exp(rng.uniform(math.log(low), math.log(high), 8000)) if low > 0 else rng.uniform(low, high, 8000)
    x = np.concatenate([spread, small[(small > low) & (small < high)]])
    return x.astype(dtype)


@pytest.mark.parametrize("row", FLOATS)
@pytest.mark.parametrize("op", FUNCTIONS)
def test_accuracy(row: Any, op: str) -> None:
    exact, (low, high), allowed, relative = FUNCTIONS[op]
    dtype = DTYPES[row.a]
    x = _tried(low, high, dtype)
    y, true = _run(row, op, x), exact(x.astype(np.longdouble))
    if relative:
        eps = np.finfo(dtype).eps
        bound = relative * eps * np.maximum(np.abs(x.astype(np.longdouble)), 1)
        assert np.all(np.abs(y.astype(np.longdouble) - true) <= bound)
    else:
        assert ulps(y, true) <= (allowed + 0.5 if op == "erf" and row.a == "fp64" else allowed)


@pytest.mark.parametrize("row", STORED)
@pytest.mark.parametrize("op", FUNCTIONS)
def test_16_bits_are_those_of_fp32_rounded_once(row: Any, op: str) -> None:
    """Whose own results the tests above and below hold to the exact ones. All of fp16's and bf16's values."""
    x = np.arange(2**16, dtype=np.uint16).view(DTYPES[row.a])
    wide = np.empty(x.shape, np.float32)
    fp32 = row.name.replace(row.a, "fp32")
    given = ATTRIBUTES.get(op, {})
    with np.errstate(all="ignore"):
        native.run_kernel(fp32, op.removesuffix("_tanh"), [x.astype(np.float32)], [wide], given)
        assert same(_run(row, op, x), wide.astype(x.dtype))


@pytest.mark.parametrize("row", FLOATS)
@pytest.mark.parametrize("op", FUNCTIONS)
def test_special_values(row: Any, op: str) -> None:
    dtype = DTYPES[row.a]
    info = np.finfo(dtype)
    tiny, most, subnormal = info.tiny, info.max, info.smallest_subnormal
    positive = [0, 1, 0.5, 2.5, 20, 100, 1000, tiny, subnormal, most, np.inf]
    x = np.array([np.nan, *positive, *(-value for value in positive)], dtype)
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[op][0](x.astype(np.longdouble))
        if op in ("gelu", "gelu_tanh", "silu", "swish", "mish"):
            exact = np.where(np.isneginf(x), 0, exact)  # the limit
        if op == "mish":
            exact = np.where(x > 50, x, exact)
        if op == "softsign":
            exact = np.where(np.isinf(x), np.sign(x), exact)
        if op == "hard_swish":
            exact = np.where(np.isneginf(x), np.nan, exact)  # 0 · inf, as written
        expected = exact.astype(dtype)
    y = _run(row, op, x)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(y[~finite], expected[~finite])
    scale = np.maximum(np.abs(x[finite]), 1) if FUNCTIONS[op][3] else np.abs(expected[finite])
    assert np.all(np.abs(y[finite] - expected[finite]) <= 8 * info.eps * scale + 8 * tiny)
    if op in ("abs", "neg", "sqrt", "tanh", "erf", "floor", "ceil", "round", "softsign"):
        zero = x == 0
        assert np.array_equal(np.signbit(y[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("row", [*FLOATS, *STORED])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_strides_and_tails(row: Any, shape: tuple[int, ...]) -> None:
    x = random(row.a, shape)
    for source, destination in layout_pairs():
        out = LAYOUTS[destination](shape, x.dtype)
        _run(row, "leaky_relu", placed(x, source), out)
        assert np.array_equal(out, np.where(x < 0, x * x.dtype.type(0.25), x)), (source, destination)


@pytest.mark.parametrize("row", [*FLOATS, *STORED])
def test_memory_around_the_output_is_kept(row: Any) -> None:
    for count in (1, 5, 16, 33, 700):
        whole = np.full(count + 2, 7, DTYPES[row.a])
        _run(row, "exp", random(row.a, (count,)), whole[1:-1])
        assert whole[0] == whole[-1] == 7


@pytest.mark.parametrize("row", [*FLOATS, *STORED])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_place(row: Any, layout: str) -> None:
    for shape in SHAPES:
        x = placed(random(row.a, shape), layout)
        expected = np.where(x < 0, x * x.dtype.type(0.25), x)
        _run(row, "leaky_relu", x, x)
        assert np.array_equal(x, expected)


@pytest.mark.parametrize("row", [*FLOATS, *STORED])
@pytest.mark.parametrize("shape", [(100_003,), (3, 50_001), (2000, 37)], ids=str)
def test_threads_share_the_work(row: Any, shape: tuple[int, ...]) -> None:
    x = random(row.a, shape)
    assert np.array_equal(_run(row, "relu", x, threads=3), np.maximum(x, 0))


@pytest.mark.parametrize("row", [*FLOATS, *STORED, *rows("unary", *INTEGERS)])
def test_clip(row: Any) -> None:
    x = random(row.a, (5, 37))
    dtype = x.dtype
    low, high = (dtype.type(3), dtype.type(90)) if row.a in INTEGERS else (dtype.type(-0.5), dtype.type(1.25))
    if row.a not in INTEGERS:
        x[0, :3] = np.nan, np.inf, -np.inf
    for bounds in ((low, high), (None, high), (low, None), (None, None), (high, low)):
        arrays = [None if bound is None else np.array(bound) for bound in bounds]
        for constants in ((), (1, 2)):
            out = np.empty_like(x)
            native.run_kernel(row.name, "clip", [x, *arrays], [out], {}, constants)
            expected = x if arrays[0] is None else np.maximum(x, low if bounds[0] is low else high)
            expected = expected if arrays[1] is None else np.minimum(expected, bounds[1])
            assert same(out, expected)


@pytest.mark.parametrize("row", rows("unary", *INTEGERS))
@pytest.mark.parametrize("op", ["abs", "neg", "sign", "relu", "bitwise_not"])
def test_integers(row: Any, op: str) -> None:
    oracle: dict[str, Exact] = {
        "abs": np.abs,
        "neg": np.negative,
        "sign": np.sign,
        "relu": lambda x: np.maximum(x, 0),
        "bitwise_not": np.invert,
    }
    for shape in ((1,), (13,), (200,), (3, 70)):
        x = random(row.a, shape)
        x.flat[0] = np.iinfo(x.dtype).min
        assert np.array_equal(_run(row, op, x), oracle[op](x))


@pytest.mark.parametrize("row", rows("unary", "bool"))
def test_not(row: Any) -> None:
    for count in (1, 7, 64, 333):
        x = random("bool", (count,))
        assert np.array_equal(_run(row, "not", x), ~x)


def test_unknown_ops_and_types_are_refused() -> None:
    row = native.supported_rows()
    name = next(each.name for each in row if each.family == "unary" and each.a == "fp32")
    x = np.zeros(4, np.float32)
    errors = pytest.importorskip("thew.errors")
    with pytest.raises(errors.PlanError, match="fft"):
        native.run_kernel(name, "fft", [x], [x])
    with pytest.raises(errors.PlanError, match="fp64"):
        native.run_kernel(name, "exp", [x.astype(np.float64)], [x])
    with pytest.raises(errors.PlanError, match="broadcast"):
        native.run_kernel(name, "exp", [np.zeros(3, np.float32)], [x])
