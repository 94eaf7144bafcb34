"""Conversions between element types: cast, cast_like, bit_cast; `convert` is the one place that knows the rules.

Small floats (8 and 4 bits) saturate or not, as asked (Micikevicius et al. 2022); fp8e8m0 has rounding modes of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from thew.dtypes import NATIVE, from_numpy, size_bytes, to_numpy
from thew.ir.graph import Array, Attribute
from thew.ops.opdef import Call, Candidate, OpDef, define
from thew.ops.rules import Shape, dtype_attribute, dtype_of, same_shape, typed, widened

_SMALL_FLOATS = ("fp8e4m3fn", "fp8e4m3fnuz", "fp8e5m2", "fp8e5m2fnuz", "fp4e2m1")
SUB_BYTE = ("int4", "uint4", "int2", "uint2", "fp4e2m1")


def limits_of(dtype: str) -> tuple[float, float]:
    """The least and the greatest finite number of a dtype."""
    target = to_numpy(dtype)
    is_whole = "int" in dtype
    found: Any = ml_dtypes.iinfo(target) if is_whole else ml_dtypes.finfo(target)  # type: ignore[no-untyped-call]
    return float(found.min), float(found.max)


def convert(x: Array, dtype: str, saturate: bool = True, round_mode: str = "up") -> Array:
    """The array in another dtype, by ONNX's rules for Cast."""
    target = to_numpy(dtype)
    if x.dtype == target:
        return x
    if x.dtype.kind in "OUS":
        return _from_text(x, dtype)
    if dtype == "string":
        return _to_text(x)
    wide = widened(x)
    if dtype == "bool":
        return np.asarray(wide != 0)
    if dtype in _SMALL_FLOATS:
        return _to_small_float(wide, dtype, saturate)
    if dtype == "fp8e8m0":
        return _to_power_of_two(wide, saturate, round_mode)
    if dtype in SUB_BYTE and wide.dtype.kind in "iub":
        return _wrapped(wide, dtype)
    if wide.dtype.kind == "f" and target.kind in "iu":
        # Straight from the original dtype: out of range is undefined, but must not raise.
        return np.asarray(np.trunc(wide)).astype(target)
    return np.asarray(wide.astype(target))


def _to_small_float(wide: Array, dtype: str, saturate: bool) -> Array:
    target = to_numpy(dtype)
    limit = limits_of(dtype)[1]
    real = wide.astype(np.float64)
    y = real.astype(target)
    if not saturate and dtype != "fp4e2m1":
        return np.asarray(y)
    return np.asarray(np.where(np.isnan(real), y, np.clip(real, -limit, limit).astype(target)))


def _to_power_of_two(wide: Array, saturate: bool, round_mode: str) -> Array:
    """fp8e8m0 holds 2^−127 … 2^127 and NaN."""
    real = wide.astype(np.float64)
    fraction, exponent = np.frexp(np.abs(real))
    # real = (2·fraction)·2^(exponent − 1) with 2·fraction in [1, 2).
    exponent = exponent - 1
    above = {"up": fraction > 0.5, "down": np.zeros_like(fraction, np.bool_), "nearest": fraction >= 0.75}[round_mode]
    exponent = exponent + above
    outside = (exponent > 127) | (exponent < -127) | ~np.isfinite(real) | (real == 0)
    clipped = np.where(np.isinf(real), 127, np.where(real == 0, -127, np.clip(exponent, -127, 127)))
    value = np.exp2(np.where(outside & ~np.isinf(real) & (real != 0), clipped, clipped).astype(np.float64))
    bad = np.isnan(real) | (outside & (not saturate))
    return np.where(bad, np.nan, value).astype(to_numpy("fp8e8m0"))


def _wrapped(whole: Array, dtype: str) -> Array:
    bits = int(dtype.removeprefix("u").removeprefix("int"))
    low = whole.astype(np.int64) & ((1 << bits) - 1)
    signed = low - ((low >> (bits - 1)) << bits) if not dtype.startswith("u") else low
    return np.asarray(signed.astype(np.int8).astype(to_numpy(dtype)))


def _from_text(x: Array, dtype: str) -> Array:
    texts = [item.decode() if isinstance(item, bytes) else str(item) for item in x.reshape(-1)]
    if dtype == "string":
        return np.array(texts, object).reshape(x.shape)
    numbers = np.array([float(text) for text in texts], np.float64).reshape(x.shape)
    if dtype in ("int64", "uint64"):
        return (
            np.array([int(float(t)) if "." in t or "e" in t.lower() else int(t) for t in texts])
            .astype(dtype)
            .reshape(x.shape)
        )
    return convert(numbers, dtype)


def _to_text(x: Array) -> Array:
    plain = x.astype(np.float32) if x.dtype.kind == "V" else x
    return np.array([str(item) for item in plain.reshape(-1)], object).reshape(x.shape)


_SATURATION: Mapping[str, Attribute] = {"saturate": 1, "round_mode": "up"}


def _shapes(call: Call) -> list[Shape | None]:
    if call.attribute("round_mode") not in ("up", "down", "nearest"):
        raise call.refuse(f"round_mode must be up, down or nearest, got {call.attribute('round_mode')!r}")
    wanted = call.attribute("to") if call.node.op == "cast" else call.type(1).dtype
    if any(dtype.startswith("complex") for dtype in (call.type(0).dtype, wanted)):
        raise call.refuse(f"complex numbers are not cast, got {call.type(0).dtype} to {wanted}")
    return same_shape(call)


def _cast(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    return [convert(x, attributes["to"], bool(attributes["saturate"]), attributes["round_mode"])]


def _cast_like(attributes: Mapping[str, Any], x: Array, like: Array) -> list[Array]:
    return [convert(x, from_numpy(like.dtype), bool(attributes["saturate"]), attributes["round_mode"])]


def _is_native(call: Call) -> bool:
    return (
        call.type(0).dtype in NATIVE
        and (call.attribute("to") if call.node.op == "cast" else call.type(1).dtype) in NATIVE
    )


_NATIVE_CAST = (Candidate("cast", "strided", when=_is_native, dtypes=NATIVE),)
# Without `rounds`, a conversion of floats may be left out where the result is only computed with in a wider type.
define(
    OpDef(
        "cast",
        typed(_shapes, dtype_attribute("to")),
        _cast,
        {"to": None, "rounds": 1, **_SATURATION},
        candidates=_NATIVE_CAST,
    )
)
define(OpDef("cast_like", typed(_shapes, dtype_of(1)), _cast_like, _SATURATION, (2, 2), candidates=_NATIVE_CAST))


def _bit_cast_shapes(call: Call) -> list[Shape | None]:
    old, new = call.type(0).dtype, dtype_attribute("to")(call)
    if "string" in (old, new) or (old in SUB_BYTE or new in SUB_BYTE) or size_bytes(old) != size_bytes(new):
        raise call.refuse(f"attribute to must name a dtype as wide as {old}, got {new}")
    return same_shape(call)


def _bit_cast(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    return [np.ascontiguousarray(x).view(to_numpy(attributes["to"])).reshape(x.shape)]


define(OpDef("bit_cast", typed(_bit_cast_shapes, dtype_attribute("to")), _bit_cast, {"to": None}))
