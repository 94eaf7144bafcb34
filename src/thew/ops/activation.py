"""Activations: the one place where they are defined in NumPy, both as ops of their own and as epilogues of others.

`apply(name, parameters, array)` computes in fp64 and rounds once to the array's dtype; NaN propagates. GELU: Hendrycks
and Gimpel 2016; SELU: Klambauer et al. 2017; swish: Ramachandran et al. 2017; mish: Misra 2019; hard swish: Howard et
al. 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thew.dtypes import FLOATS, NATIVE
from thew.ir.graph import Array, Attribute
from thew.ops.opdef import Call, Candidate, OpDef, define
from thew.ops.rules import dtype_of, same_shape, typed, widened


@dataclass(frozen=True)
class Activation:
    """A function of an fp64 array and parameters; these are attributes of the op of that name, in this order."""

    function: Callable[..., Array]
    parameters: Mapping[str, float]


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^−x), without overflow on either side."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1 / (1 + small), small / (1 + small)))


def softplus(x: Array) -> Array:
    """log(1 + e^x), without overflow."""
    return np.asarray(np.logaddexp(x, 0))


def erf(x: Array) -> Array:
    """The error function, by the C library (NumPy has none)."""
    return np.asarray(_erf(x), dtype=np.float64).reshape(np.shape(x))


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _gelu(x: Array) -> Array:
    # erf(-inf) = -1 makes 0 · -inf = NaN of the limit 0.
    return np.where(np.isneginf(x), 0.0, 0.5 * x * (1 + erf(x / math.sqrt(2))))


def _gelu_tanh(x: Array) -> Array:
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return np.where(np.isneginf(x), 0.0, 0.5 * x * (1 + np.tanh(inner)))


def _hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    return np.clip(alpha * x + beta, 0, 1)


def _swish(x: Array, alpha: float = 1.0) -> Array:
    return np.where(np.isneginf(x * alpha), 0.0, x * sigmoid(alpha * x))


def _elu(x: Array, alpha: float, gamma: float = 1.0) -> Array:
    return gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _celu(x: Array, alpha: float) -> Array:
    return np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(np.minimum(x, 0) / alpha))


def _softsign(x: Array) -> Array:
    return np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x)))


def _mish(x: Array) -> Array:
    return np.where(np.isneginf(x), 0.0, x * np.tanh(softplus(x)))


def _shrink(x: Array, bias: float, lambd: float) -> Array:
    kept = np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0.0))
    return np.where(np.isnan(x), x, kept)


ACTIVATIONS: Mapping[str, Activation] = {
    "relu": Activation(lambda x: np.maximum(x, 0), {}),
    "clip": Activation(lambda x, lo, hi: np.minimum(np.maximum(x, lo), hi), {"lo": -math.inf, "hi": math.inf}),
    "leaky_relu": Activation(lambda x, alpha: np.where(x < 0, alpha * x, x), {"alpha": 0.01}),
    "thresholded_relu": Activation(lambda x, alpha: np.where(x <= alpha, 0.0, x), {"alpha": 1.0}),
    "elu": Activation(_elu, {"alpha": 1.0}),
    "celu": Activation(_celu, {"alpha": 1.0}),
    "selu": Activation(_elu, {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}),
    "sigmoid": Activation(sigmoid, {}),
    "hard_sigmoid": Activation(_hard_sigmoid, {"alpha": 0.2, "beta": 0.5}),
    "silu": Activation(_swish, {}),
    "swish": Activation(_swish, {"alpha": 1.0}),
    "hard_swish": Activation(lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5), {}),
    "tanh": Activation(np.tanh, {}),
    "softplus": Activation(softplus, {}),
    "softsign": Activation(_softsign, {}),
    "mish": Activation(_mish, {}),
    "gelu": Activation(_gelu, {}),
    "gelu_tanh": Activation(_gelu_tanh, {}),
    "shrink": Activation(_shrink, {"bias": 0.0, "lambd": 0.5}),
}

# Attributes of an op that takes an epilogue: output = activation(op(...) + residual).
EPILOGUE: Mapping[str, Attribute] = {"activation": "", "activation_parameters": ()}


def apply(name: str, parameters: Sequence[float], array: Array) -> Array:
    """The activation of that name, elementwise; the empty name is the identity."""
    if not name:
        return array
    wide = array.astype(np.float64) if array.dtype.kind in "iub" else widened(array)
    with np.errstate(all="ignore"):
        return ACTIVATIONS[name].function(wide, *filled(name, parameters)).astype(array.dtype)


def filled(name: str, parameters: Sequence[float]) -> tuple[float, ...]:
    """All parameters of an activation: those given, then the defaults of the rest."""
    defaults = tuple(ACTIVATIONS[name].parameters.values())
    return (*parameters, *defaults[len(parameters) :])


def epilogue(attributes: Mapping[str, Any], wide: Array, residual: Array | None, dtype: Any) -> Array:
    """What a fused op does last: adds the residual, applies the activation, and only then rounds to the dtype."""
    if residual is not None:
        wide = wide + widened(residual)
    return apply(attributes["activation"], attributes["activation_parameters"], wide).astype(dtype)


def check_epilogue(call: Call) -> None:
    """Refuses an activation that is unknown or has too many parameters."""
    name, parameters = call.attribute("activation"), call.attribute("activation_parameters")
    if name and name not in ACTIVATIONS:
        raise call.refuse(f"activation must be one of {', '.join(ACTIVATIONS)}, got {name!r}")
    most = len(ACTIVATIONS[name].parameters) if name else 0
    if len(parameters) > most:
        raise call.refuse(f"activation {name!r} must have at most {most} parameters, got {parameters}")


def activation_of(op: str, attributes: Mapping[str, Any]) -> tuple[str, tuple[float, ...]] | None:
    """Name and parameters under which an op's node would be another op's epilogue; None where it is no activation.

    `clip` is not answered here: its bounds are inputs.
    """
    if op not in ACTIVATIONS or op == "clip":
        return None
    if op == "gelu":
        return ("gelu_tanh" if attributes.get("approximate") == "tanh" else "gelu"), ()
    return op, tuple(float(attributes.get(key, default)) for key, default in ACTIVATIONS[op].parameters.items())


def _define(name: str, attributes: Mapping[str, Attribute]) -> None:
    def reference(given: Mapping[str, Any], x: Array) -> list[Array]:
        found = activation_of(name, given)
        assert found is not None
        return [apply(*found, x)]

    # relu also takes integers.
    allowed = FLOATS if name != "relu" else (*FLOATS, "int8", "int16", "int32", "int64")
    if name == "shrink":
        allowed = (*allowed, "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    native = () if name == "shrink" else (Candidate("unary", "strided", dtypes=allowed),)
    define(OpDef(name, typed(same_shape, dtype_of(0, among=allowed)), reference, attributes, candidates=native))


for _name, _activation in ACTIVATIONS.items():
    if _name == "gelu":
        _define(_name, {"approximate": "none"})
    elif _name not in ("clip", "gelu_tanh"):
        _define(_name, _activation.parameters)


def _infer_clip(call: Call) -> list[tuple[int, ...] | None]:
    for index in (1, 2):
        if call.has(index) and call.shape(index) not in ((), (1,)):
            raise call.refuse(f"input {index}, a bound, must be one number, got shape {call.shape(index)}")
    return [call.shape(0)]


def _reference_clip(
    attributes: Mapping[str, Any], x: Array, lo: Array | None = None, hi: Array | None = None
) -> list[Array]:
    # In the array's own dtype: 64-bit integers have no exact fp64.
    y = x if lo is None else np.maximum(x, lo.reshape(()))
    return [np.asarray(y if hi is None else np.minimum(y, hi.reshape(()))).astype(x.dtype)]


define(
    OpDef(
        "clip",
        typed(_infer_clip, dtype_of(0, 1, 2)),
        _reference_clip,
        inputs=(1, 3),
        candidates=(Candidate("unary", "strided", dtypes=NATIVE),),
    )
)
