"""activation_grad(dy, v) = dy · f′, where v is the activation's output, or its input where that does not tell f′.

One op for all of them: `activation` and `activation_parameters` name the function as an epilogue does. `DERIVATIVES`
says of each what v is. Knowing f′ from the output lets the activation stay fused into the op before it. At a kink f′ is
0, as in PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from thew.dtypes import FLOATS
from thew.ir.graph import Array
from thew.ops.activation import EPILOGUE, erf, filled, sigmoid, softplus
from thew.ops.opdef import Call, Candidate, OpDef, define
from thew.ops.rules import Shape, dtype_of, typed, widened


@dataclass(frozen=True)
class Derivative:
    """f′ as a function of v and the activation's parameters."""

    function: Callable[..., Array]
    of_output: bool


def _within(v: Array, low: Any, high: Any) -> Array:
    return np.asarray((v > low) & (v < high), np.float64)


def _normal(x: Array) -> Array:
    return np.asarray(np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi))


def _gelu(x: Array) -> Array:
    return np.asarray(0.5 * (1 + erf(x / math.sqrt(2))) + x * _normal(x))


def _gelu_tanh(x: Array) -> Array:
    slope = math.sqrt(2 / math.pi)
    bent = np.tanh(slope * (x + 0.044715 * x**3))
    return np.asarray(0.5 * (1 + bent) + 0.5 * x * (1 - bent**2) * slope * (1 + 3 * 0.044715 * x**2))


def _swish(x: Array, alpha: float = 1.0) -> Array:
    share = sigmoid(alpha * x)
    return np.asarray(share + alpha * x * share * (1 - share))


def _mish(x: Array) -> Array:
    bent = np.tanh(softplus(x))
    return np.asarray(bent + x * (1 - bent**2) * sigmoid(x))


def _elu(y: Array, alpha: float, gamma: float = 1.0) -> Array:
    return np.where(y > 0, gamma, y + alpha * gamma)


def _hard_swish(x: Array) -> Array:
    return np.where(x <= -3, 0.0, np.where(x < 3, x / 3 + 0.5, 1.0))


DERIVATIVES: Mapping[str, Derivative] = {
    "relu": Derivative(lambda y: (y > 0).astype(np.float64), True),
    "clip": Derivative(_within, True),
    "leaky_relu": Derivative(lambda x, alpha: np.where(x > 0, 1.0, alpha), False),
    "thresholded_relu": Derivative(lambda x, alpha: (x > alpha).astype(np.float64), False),
    "elu": Derivative(_elu, True),
    "celu": Derivative(lambda x, alpha: np.where(x > 0, 1.0, np.exp(np.minimum(x, 0) / alpha)), False),
    "selu": Derivative(_elu, True),
    "sigmoid": Derivative(lambda y: y * (1 - y), True),
    "hard_sigmoid": Derivative(lambda y, alpha, beta: alpha * _within(y, 0, 1), True),
    "silu": Derivative(_swish, False),
    "swish": Derivative(_swish, False),
    "hard_swish": Derivative(_hard_swish, False),
    "tanh": Derivative(lambda y: 1 - y * y, True),
    "softplus": Derivative(sigmoid, False),
    "softsign": Derivative(lambda x: 1 / (1 + np.abs(x)) ** 2, False),
    "mish": Derivative(_mish, False),
    "gelu": Derivative(_gelu, False),
    "gelu_tanh": Derivative(_gelu_tanh, False),
    "shrink": Derivative(lambda x, bias, lambd: (np.abs(x) > lambd).astype(np.float64), False),
}


def _shapes(call: Call) -> list[Shape | None]:
    name, parameters = call.attribute("activation"), call.attribute("activation_parameters")
    if name not in DERIVATIVES:
        raise call.refuse(f"activation must be one of {', '.join(DERIVATIVES)}, got {name!r}")
    if len(parameters) > len(filled(name, ())):
        raise call.refuse(f"activation {name!r} must have at most {len(filled(name, ()))} parameters, got {parameters}")
    if call.shape(1) != call.shape(0):
        raise call.refuse(f"inputs 0 and 1 must have one shape, got {call.shape(0)} and {call.shape(1)}")
    return [call.shape(0)]


def _reference(attributes: Mapping[str, Any], dy: Array, v: Array) -> list[Array]:
    name = attributes["activation"]
    parameters = filled(name, attributes["activation_parameters"])
    return [(widened(dy) * DERIVATIVES[name].function(widened(v), *parameters)).astype(dy.dtype)]


define(
    OpDef(
        "activation_grad",
        typed(_shapes, dtype_of(0, 1, among=FLOATS)),
        _reference,
        EPILOGUE,
        inputs=(2, 2),
        candidates=(Candidate("activation_grad", "strided", dtypes=FLOATS),),
    )
)
