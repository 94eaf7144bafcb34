"""Elementwise ops that are no activations: arithmetic, functions, comparisons, logic and bits, all broadcasting.

Arithmetic is done in the dtype itself, functions in fp64 and rounded once. Integer division truncates, as in C. `add`,
`sub`, `mul` and `div` take an activation as an epilogue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np

from thew.dtypes import FLOATS, NATIVE
from thew.ir.graph import Array, Attribute
from thew.ops.activation import EPILOGUE, apply, check_epilogue, erf
from thew.ops.opdef import Call, Candidate, OpDef, define
from thew.ops.rules import (
    INTEGERS,
    NUMBERS,
    DtypeRule,
    Shape,
    all_one_dtype,
    broadcast_inputs,
    demand_broadcast_to,
    dtype_of,
    same_shape,
    typed,
    widened,
)

Function = Callable[..., Any]

_BINARY = Candidate("binary", "strided", dtypes=NATIVE)
_SIGNED = (*FLOATS, "int8", "int16", "int32", "int64")


def _unary(
    name: str, function: Function, among: tuple[str, ...], result: DtypeRule | None = None, native: bool = True
) -> None:
    """An op of one input; its function sees fp64 in place of floats."""
    kind = None if result is None else np.bool_

    def reference(attributes: Mapping[str, Any], x: Array) -> list[Array]:
        return [np.asarray(function(widened(x))).astype(kind or x.dtype)]

    rule = dtype_of(0, among=among)
    rules = (rule,) if result is None else (lambda call: rule(call) and str(result),)
    define(
        OpDef(
            name,
            typed(same_shape, *rules),
            reference,
            candidates=(Candidate("unary", "strided", dtypes=among),) if native else (),
        )
    )


def _reciprocal(x: Array) -> Array:
    return np.asarray(1 / x)


_FUNCTIONS: Mapping[str, Function] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "reciprocal": _reciprocal,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
}
for _name, _function in _FUNCTIONS.items():
    _unary(_name, _function, FLOATS)
_unary("erf", erf, NUMBERS)
_unary("abs", np.abs, NUMBERS)
_unary("neg", np.negative, _SIGNED)
_unary("sign", np.sign, NUMBERS)
_unary("not", np.logical_not, ("bool",))
_unary("bitwise_not", np.invert, INTEGERS, native=False)
_SPECIAL = (*FLOATS, "fp8e4m3fn", "fp8e4m3fnuz", "fp8e5m2", "fp8e5m2fnuz")
_unary("is_nan", np.isnan, _SPECIAL, "bool", native=False)


def _is_inf(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    wide = widened(x)
    upward = np.isposinf(wide) if attributes["detect_positive"] else np.zeros(x.shape, np.bool_)
    downward = np.isneginf(wide) if attributes["detect_negative"] else np.zeros(x.shape, np.bool_)
    return [np.asarray(upward | downward)]


define(
    OpDef(
        "is_inf",
        typed(same_shape, lambda call: dtype_of(0, among=_SPECIAL)(call) and "bool"),
        _is_inf,
        {"detect_negative": 1, "detect_positive": 1},
    )
)


def divide(a: Array, b: Array) -> Array:
    """The quotient; of integers it is truncated towards zero, and 0 where the divisor is 0."""
    if a.dtype.kind not in "iu":
        return np.asarray(a / b)
    floored = np.floor_divide(a, b)
    inexact = np.asarray(floored * b != a) & (b != 0)
    return np.asarray(floored + (inexact & ((a < 0) != (b < 0))).astype(a.dtype)).astype(a.dtype)


def _fused_shapes(call: Call) -> list[Shape | None]:
    check_epilogue(call)
    return broadcast_inputs(call)


def _arithmetic(name: str, function: Function) -> None:
    def reference(attributes: Mapping[str, Any], a: Array, b: Array) -> list[Array]:
        if not attributes["activation"]:
            return [np.asarray(function(a, b)).astype(a.dtype)]
        wide = apply(attributes["activation"], attributes["activation_parameters"], function(widened(a), widened(b)))
        return [wide.astype(a.dtype)]

    rule = dtype_of(0, 1, among=NUMBERS)
    define(OpDef(name, typed(_fused_shapes, rule), reference, EPILOGUE, (2, 2), candidates=(_BINARY,)))


_arithmetic("add", np.add)
_arithmetic("sub", np.subtract)
_arithmetic("mul", np.multiply)
_arithmetic("div", divide)


def _binary(
    name: str,
    function: Function,
    among: tuple[str, ...] = (),
    result: str = "",
    attributes: Mapping[str, Attribute] | None = None,
    native: bool = True,
) -> None:
    """An op of two inputs; its function is called with the attributes where it has some."""
    kind = np.bool_ if result else None

    def reference(given: Mapping[str, Any], a: Array, b: Array) -> list[Array]:
        found = function(given, a, b) if attributes else function(a, b)
        return [np.asarray(found).astype(kind or a.dtype)]

    rule = dtype_of(0, 1, among=among)
    rules = (lambda call: rule(call) and result) if result else rule
    chosen = (_BINARY,) if native else ()
    define(OpDef(name, typed(broadcast_inputs, rules), reference, attributes or {}, (2, 2), candidates=chosen))


def power(x: Array, y: Array) -> Array:
    """x to the y in x's dtype: exact for whole powers of integers, else by fp64."""
    if x.dtype.kind in "iu" and y.dtype.kind in "iu":
        # Whole powers wrap around, as in 64 bits so in fewer.
        whole = np.power(x.astype(np.int64), np.maximum(y, 0).astype(np.int64)).astype(x.dtype)
        return np.asarray(np.where(y < 0, np.power(x.astype(np.float64), y.astype(np.float64)).astype(x.dtype), whole))
    wide = np.power(widened(x).astype(np.float64), widened(y).astype(np.float64))
    return np.asarray(wide.astype(x.dtype))


def _modulo(attributes: Mapping[str, Any], a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu":
        return np.asarray((np.fmod if attributes["fmod"] else np.mod)(a, b))
    x, y = widened(a), widened(b)
    if attributes["fmod"]:
        return np.asarray(np.fmod(x, y))
    found = np.mod(x, y)
    # NumPy's remainder of a finite by an infinite number of the other sign is that infinity, as ONNX has it.
    return np.asarray(np.where(found == 0, np.copysign(found, y), found))


def _check_direction(call: Call) -> list[Shape | None]:
    if call.attribute("direction") not in ("LEFT", "RIGHT"):
        raise call.refuse(f"direction must be LEFT or RIGHT, got {call.attribute('direction')!r}")
    return broadcast_inputs(call)


def _shift(attributes: Mapping[str, Any], x: Array, y: Array) -> list[Array]:
    bits = 8 * x.dtype.itemsize
    beyond = (y >= bits) | (y < 0)
    amount = np.where(beyond, 0, y).astype(x.dtype)
    if attributes["direction"] == "LEFT":
        return [np.where(beyond, 0, np.left_shift(x, amount)).astype(x.dtype)]
    return [np.where(beyond, np.where(x < 0, -1, 0), np.right_shift(x, amount)).astype(x.dtype)]


_binary("mod", _modulo, NUMBERS, attributes={"fmod": 0})
for _name, _compare in {
    "equal": np.equal,
    "greater": np.greater,
    "less": np.less,
    "greater_or_equal": np.greater_equal,
    "less_or_equal": np.less_equal,
}.items():
    _binary(_name, _compare, (*NUMBERS, *(("bool", "string") if _name == "equal" else ())), "bool")
for _name, _logical in {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}.items():
    _binary(_name, _logical, ("bool",))
define(OpDef("bit_shift", typed(_check_direction, dtype_of(0, 1, among=INTEGERS)), _shift, {"direction": None}, (2, 2)))
for _name, _bits in {"bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor}.items():
    _binary(_name, _bits, INTEGERS, native=False)


def _power(attributes: Mapping[str, Any], x: Array, y: Array) -> list[Array]:
    return [power(x, y)]


def _power_dtype(call: Call) -> str:
    dtype_of(1, among=NUMBERS)(call)
    return dtype_of(0, among=NUMBERS)(call)


define(OpDef("pow", typed(broadcast_inputs, _power_dtype), _power, {}, (2, 2), candidates=(_BINARY,)))


def _prelu_shapes(call: Call) -> list[Shape | None]:
    demand_broadcast_to(call, "slope", call.shape(1), call.shape(0))
    return [call.shape(0)]


def _prelu(attributes: Mapping[str, Any], x: Array, slope: Array) -> list[Array]:
    return [np.where(x < 0, x * slope, x)]


define(OpDef("prelu", typed(_prelu_shapes, dtype_of(0, 1, among=NUMBERS)), _prelu, {}, (2, 2), candidates=(_BINARY,)))


def _variadic(name: str, function: Function, among: tuple[str, ...], native: bool) -> None:
    """An op of one input or more; two of them are a binary op to native code."""

    def reference(attributes: Mapping[str, Any], *inputs: Array) -> list[Array]:
        return [np.array(function(inputs)).astype(inputs[0].dtype)]

    chosen = (Candidate("binary", "strided", when=lambda call: len(call.types) == 2, dtypes=NATIVE),) if native else ()

    def dtype(call: Call) -> str:
        dtype_of(0, among=among)(call)
        return all_one_dtype(call)

    define(OpDef(name, typed(broadcast_inputs, dtype), reference, inputs=(1, -1), candidates=chosen))


def _mean(inputs: tuple[Array, ...]) -> Array:
    return np.asarray(reduce(np.add, [widened(x) for x in inputs]) / len(inputs))


_variadic("max", lambda inputs: reduce(np.maximum, inputs), NUMBERS, True)
_variadic("min", lambda inputs: reduce(np.minimum, inputs), NUMBERS, True)
_variadic("sum", lambda inputs: reduce(np.add, [widened(x) for x in inputs]), FLOATS, False)
_variadic("mean", _mean, FLOATS, False)


def _where_dtype(call: Call) -> str:
    dtype_of(0, among=("bool",))(call)
    return dtype_of(1, 2)(call)


def _where(attributes: Mapping[str, Any], condition: Array, x: Array, y: Array) -> list[Array]:
    return [np.where(condition, x, y)]


define(
    OpDef(
        "where",
        typed(broadcast_inputs, _where_dtype),
        _where,
        inputs=(3, 3),
        candidates=(Candidate("select", "strided", dtypes=NATIVE),),
    )
)


def _swiglu(attributes: Mapping[str, Any], a: Array, b: Array) -> list[Array]:
    return [(apply("swish", (attributes["alpha"],), widened(a)) * widened(b)).astype(a.dtype)]


define(OpDef("swi_glu", typed(broadcast_inputs, dtype_of(0, 1, among=FLOATS)), _swiglu, {"alpha": 1.0}, (2, 2)))
