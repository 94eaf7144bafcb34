"""Activations: values from the C library, limits at infinity, NaN, and the epilogue's order."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from thew import ops
from thew.ops.activation import ACTIVATIONS, activation_of, apply

GRID = [-30.0, -3.5, -1.0, -0.25, -1e-8, 0.0, 1e-8, 0.25, 1.0, 3.5, 30.0]
# One number at a time, by the standard library.
SCALAR: dict[str, tuple[tuple[float, ...], Callable[[float], float]]] = {
    "relu": ((), lambda x: max(x, 0.0)),
    "clip": ((-0.5, 2.0), lambda x: min(max(x, -0.5), 2.0)),
    "leaky_relu": ((0.1,), lambda x: x if x >= 0 else 0.1 * x),
    "thresholded_relu": ((0.5,), lambda x: x if x > 0.5 else 0.0),
    "elu": ((0.7,), lambda x: x if x > 0 else 0.7 * math.expm1(x)),
    "celu": ((0.7,), lambda x: max(x, 0.0) + min(0.0, 0.7 * math.expm1(x / 0.7))),
    "selu": ((1.5, 1.1), lambda x: 1.1 * (x if x > 0 else 1.5 * math.expm1(x))),
    "sigmoid": ((), lambda x: 1 / (1 + math.exp(-x))),
    "hard_sigmoid": ((0.3, 0.4), lambda x: min(max(0.3 * x + 0.4, 0.0), 1.0)),
    "silu": ((), lambda x: x / (1 + math.exp(-x))),
    "swish": ((0.6,), lambda x: x / (1 + math.exp(-0.6 * x))),
    "hard_swish": ((), lambda x: x * min(max(x / 6 + 0.5, 0.0), 1.0)),
    "tanh": ((), math.tanh),
    "softplus": ((), lambda x: math.log1p(math.exp(-abs(x))) + max(x, 0.0)),
    "softsign": ((), lambda x: x / (1 + abs(x))),
    "mish": ((), lambda x: x * math.tanh(math.log1p(math.exp(x)))),
    "gelu": ((), lambda x: 0.5 * x * math.erfc(-x / math.sqrt(2))),
    "gelu_tanh": ((), lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
    "shrink": ((0.2, 0.5), lambda x: x + 0.2 if x < -0.5 else x - 0.2 if x > 0.5 else 0.0),
}
# What each tends to at −∞ and +∞, with the parameters above.
LIMITS = {
    "relu": (0, math.inf),
    "clip": (-0.5, 2),
    "leaky_relu": (-math.inf, math.inf),
    "thresholded_relu": (0, math.inf),
    "elu": (-0.7, math.inf),
    "celu": (-0.7, math.inf),
    "selu": (-1.65, math.inf),
    "sigmoid": (0, 1),
    "hard_sigmoid": (0, 1),
    "silu": (0, math.inf),
    "swish": (0, math.inf),
    "tanh": (-1, 1),
    "softplus": (0, math.inf),
    "softsign": (-1, 1),
    "mish": (0, math.inf),
    "gelu": (0, math.inf),
    "gelu_tanh": (0, math.inf),
    "shrink": (-math.inf, math.inf),
}


def test_every_activation_is_checked() -> None:
    assert set(SCALAR) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", sorted(SCALAR))
def test_values(name: str) -> None:
    parameters, scalar = SCALAR[name]
    y = apply(name, parameters, np.array(GRID))
    # Each is a handful of fp64 operations; 1 + erf loses up to one unit of 1 where erf is near −1.
    np.testing.assert_allclose(
        y, [scalar(x) for x in GRID], rtol=16 * np.finfo(np.float64).eps, atol=30 * np.finfo(np.float64).eps
    )


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_infinities(name: str) -> None:
    y = apply(name, SCALAR[name][0], np.array([-np.inf, np.inf]))
    np.testing.assert_allclose(y, LIMITS[name])


@pytest.mark.parametrize("name", sorted(SCALAR))
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_nan_propagates_and_dtype_stays(name: str, dtype: str) -> None:
    y = apply(name, SCALAR[name][0], np.array([np.nan, 1.0], dtype))
    assert y.dtype == dtype
    assert np.isnan(y[0]) and not np.isnan(y[1])


def test_ops_are_the_same_functions() -> None:
    x = np.array(GRID, np.float32)
    for name in set(ACTIVATIONS) - {"clip", "gelu_tanh"}:
        (y,) = ops.get(name).reference({}, x)
        found = activation_of(name, {})
        assert found is not None
        np.testing.assert_array_equal(y, apply(*found, x))
    assert activation_of("gelu", {"approximate": "tanh"}) == ("gelu_tanh", ())
    assert activation_of("elu", {"alpha": 2}) == ("elu", (2.0,))
    assert activation_of("exp", {}) is None


def test_epilogue_rounds_once_and_adds_the_residual_first() -> None:
    # In fp16 alone 2048 + 1 would be 2048, and the clip would come too early.
    a, b = np.array([[2048.0, 1.0]], np.float16), np.array([[1.0], [1.0]], np.float16)
    residual = np.array([[-2047.0]], np.float16)
    attributes = {"activation": "clip", "activation_parameters": (0.0, 100.0)}
    (y,) = ops.get("matmul").reference(attributes, a, b, None, residual)
    assert y.dtype == np.float16 and y == 2
