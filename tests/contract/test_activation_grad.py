"""Every activation_grad row against the ops' reference in fp64: all derivatives, strides, in place.

A derivative here is a few roundings on values of at most a few units, and the elementary functions err by at most 2.5
units of the last place (tests/contract/test_unary.py): |error| <= 16·eps·|dy|·(1 + |v|) covers them, cancellations in
1 − y², y + alpha and 1 − tanh² included.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, layout_pairs, native, placed, relative, rows

from thew import ops
from thew.errors import PlanError
from thew.ops.activation_grad import DERIVATIVES

ROWS = rows("activation_grad")
PARAMETERS: dict[str, tuple[float, ...]] = {
    "clip": (-1.0, 1.5), "leaky_relu": (0.25,), "elu": (0.5,), "celu": (1.5,), "hard_sigmoid": (0.25, 0.5),
    "swish": (1.5,), "thresholded_relu": (0.5,), "shrink": (0.1, 0.75),
}  # fmt: skip
RNG = np.random.default_rng(29)


def exact(activation: str, parameters: tuple[float, ...], dy: Any, v: Any) -> Any:
    given = {"activation": activation, "activation_parameters": parameters}
    return ops.get("activation_grad").reference(given, dy.astype(np.float64), v.astype(np.float64))[0]


@pytest.mark.parametrize("activation", DERIVATIVES)
@pytest.mark.parametrize("row", ROWS)
def test_derivatives(row: Any, activation: str) -> None:
    """With parameters given and left out; v from -20 to 20, an output's range where v is one."""
    dtype = DTYPES[row.a]
    v = np.concatenate([np.linspace(-20, 20, 901), np.linspace(-1, 1, 401)]).astype(dtype)
    if activation in ("sigmoid", "hard_sigmoid", "tanh"):
        v = np.linspace(-1, 1, 1302).astype(dtype)
    if activation in ("elu", "selu"):
        v = np.linspace(-0.5, 8, 1302).astype(dtype)
    dy = RNG.standard_normal(v.shape).astype(dtype)
    for parameters in {(), PARAMETERS.get(activation, ())}:
        out = np.zeros_like(dy)
        given = {"activation": activation, "activation_parameters": parameters}
        native.run_kernel(row.name, "activation_grad", [dy, v], [out], given, (), 2)
        tolerance = relative(dtype, 16) * np.abs(dy) * (1 + np.abs(v))
        assert np.all(np.abs(out - exact(activation, parameters, dy, v)) <= tolerance)


@pytest.mark.parametrize(("layout", "into"), list(layout_pairs()))
@pytest.mark.parametrize("row", ROWS)
def test_strides(row: Any, layout: str, into: str) -> None:
    dy, v = (RNG.standard_normal((3, 5, 4, 7)).astype(DTYPES[row.a]) for _ in range(2))
    out = placed(np.zeros_like(dy), into)
    given = {"activation": "relu"}
    native.run_kernel(row.name, "activation_grad", [placed(dy, layout), placed(v, into)], [out], given, (), 2)
    np.testing.assert_array_equal(out, np.where(v > 0, dy, 0))


@pytest.mark.parametrize("row", ROWS)
def test_in_place(row: Any) -> None:
    """On dy, and on v; a gradient of 0 where the derivative is, whatever dy."""
    for which in range(2):
        inputs = [RNG.standard_normal(67).astype(DTYPES[row.a]) for _ in range(2)]
        inputs[0][3], inputs[1][3] = np.inf, -1
        wanted = np.where(inputs[1] > 0, inputs[0], 0)
        native.run_kernel(row.name, "activation_grad", inputs, [inputs[which]], {"activation": "relu"})
        np.testing.assert_array_equal(inputs[which], wanted)


@pytest.mark.parametrize("row", ROWS[:1])
def test_what_is_refused(row: Any) -> None:
    dy = np.zeros(4, DTYPES[row.a])
    for given in ({"activation": "relu", "activation_parameters": (1.0,)}, {"activation": "cosine"}):
        with pytest.raises(PlanError):
            native.run_kernel(row.name, "activation_grad", [dy, dy], [dy.copy()], given)
