"""Quantisation: quantize_linear, dequantize_linear, dynamic_quantize_linear; and functions of quantised values: lookup.

y = saturate(round(x / scale) + zero_point), halves to even; per tensor, per axis, or in blocks along an axis (Jacob et
al. 2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import FLOATS, from_numpy, to_numpy
from thew.ir.graph import Array
from thew.ops.cast import convert, limits_of
from thew.ops.opdef import Call, Candidate, OpDef, define
from thew.ops.rules import Shape, axis_of, dtype_attribute, dtype_of, typed, widened

_WHOLE = ("int32", "int16", "int8", "uint16", "uint8", "int4", "uint4", "int2", "uint2")
_SMALL = ("fp8e4m3fn", "fp8e4m3fnuz", "fp8e5m2", "fp8e5m2fnuz", "fp4e2m1")
_AXES = {"axis": 1, "block_size": 0, "output_dtype": None}


def _check_scale(call: Call) -> list[Shape | None]:
    """A scale is one number, one a place along the axis, or one a block; the zero point has its shape."""
    shape, scale, block = call.shape(0), call.shape(1), call.attribute("block_size")
    single = ((), (1,))
    if call.has(2) and call.shape(2) != scale and not (call.shape(2) in single and scale in single):
        raise call.refuse(f"zero point must have the scale's shape {scale}, got {call.shape(2)}")
    if prod(scale) == 1 and len(scale) <= 1:
        return [shape]
    axis = axis_of(call, call.attribute("axis"), len(shape))
    if block < 0:
        raise call.refuse(f"block_size must be at least 0, got {block}")
    wanted = (shape[axis],) if not block else (*shape[:axis], -(-shape[axis] // block), *shape[axis + 1 :])
    if scale != wanted:
        raise call.refuse(f"scale must be one number or have shape {wanted}, got {scale}")
    return [shape]


def _spread(array: Array, attributes: Mapping[str, Any], shape: Shape) -> Array:
    """A scale or zero point, shaped to broadcast against the tensor."""
    if array.size == 1 and array.ndim <= 1:
        return array.reshape(())
    axis = attributes["axis"] % len(shape)
    if attributes["block_size"]:
        return np.asarray(np.take(array, np.arange(shape[axis]) // attributes["block_size"], axis))
    return array.reshape([-1 if place == axis else 1 for place in range(len(shape))])


def _quantized_dtype(call: Call) -> str:
    dtype_of(0, among=(*FLOATS, "int32"))(call)
    named = dtype_attribute("output_dtype", "uint8" if not call.has(2) else dtype_of(2))(call)
    if named not in (*_WHOLE, *_SMALL):
        raise call.refuse(f"output must be one of {', '.join((*_WHOLE, *_SMALL))}, got {named}")
    if call.has(2) and call.type(2).dtype != named:
        raise call.refuse(f"output_dtype must be the zero point's {call.type(2).dtype}, got {named}")
    return named


def saturate(wide: Array, dtype: str) -> Array:
    """Whole fp64 numbers in an integer dtype, cut to its range."""
    low, high = limits_of(dtype)
    # NaN has no integer; native kernels make it the least.
    cut = np.clip(np.where(np.isnan(wide), low, wide), low, high)
    return np.asarray(cut.astype(np.int64).astype(to_numpy(dtype)))


def _quantize(attributes: Mapping[str, Any], x: Array, scale: Array, zero: Array | None = None) -> list[Array]:
    dtype = attributes["output_dtype"] or ("uint8" if zero is None else from_numpy(zero.dtype))
    # The division is done in the scale's precision, or the one asked for: rounding of halves depends on it.
    precision = to_numpy(attributes["precision"] or from_numpy(scale.dtype))
    quotient = widened((x.astype(precision) / _spread(scale.astype(precision), attributes, x.shape)).astype(precision))
    shift = 0.0 if zero is None else widened(_spread(zero, attributes, x.shape)).astype(np.float64)
    if dtype in _WHOLE:
        return [saturate(np.rint(quotient) + shift, dtype)]
    return [convert(np.asarray(quotient + shift), dtype, bool(attributes["saturate"]))]


def _quantize_shapes(call: Call) -> list[Shape | None]:
    scales = (*FLOATS, "int32", "fp8e8m0")
    dtype_of(1, among=scales)(call)
    if dtype_attribute("precision", "fp32")(call) not in FLOATS:
        raise call.refuse(f"precision must be one of {', '.join(FLOATS)}, got {call.attribute('precision')}")
    return _check_scale(call)


_NATIVE = ("int8", "uint8", "int16", "uint16")


def _is_native(call: Call) -> bool:
    whole = call.type(0).dtype if call.node.op == "dequantize_linear" else _quantized_dtype(call)
    real = call.type(1).dtype if call.node.op == "dequantize_linear" else call.type(0).dtype
    known = (*_NATIVE, "int32") if call.node.op == "dequantize_linear" else _NATIVE
    return whole in known and real == "fp32" == call.type(1).dtype and len(call.shape(1)) <= 1


_STRIDED = (Candidate("quant", "strided", when=_is_native, dtypes=("fp32", *_NATIVE, "int32")),)
define(
    OpDef(
        "quantize_linear",
        typed(_quantize_shapes, _quantized_dtype),
        _quantize,
        {**_AXES, "precision": None, "saturate": 1},
        (2, 3),
        candidates=_STRIDED,
    )
)


def _dequantized_dtype(call: Call) -> str:
    dtype_of(0, 2, among=(*_WHOLE, *_SMALL))(call)
    return dtype_attribute("output_dtype", dtype_of(1, among=(*FLOATS, "fp8e8m0")))(call)


def _dequantize(attributes: Mapping[str, Any], x: Array, scale: Array, zero: Array | None = None) -> list[Array]:
    shifted = widened(x).astype(np.float64)
    if zero is not None:
        shifted = shifted - widened(_spread(zero, attributes, x.shape)).astype(np.float64)
    dtype = attributes["output_dtype"] or from_numpy(scale.dtype)
    return [np.asarray(shifted * widened(_spread(scale, attributes, x.shape))).astype(to_numpy(dtype))]


define(
    OpDef("dequantize_linear", typed(_check_scale, _dequantized_dtype), _dequantize, _AXES, (2, 3), candidates=_STRIDED)
)


def _dynamic_shapes(call: Call) -> list[Shape | None]:
    dtype_of(0, among=("fp32",))(call)
    return [call.shape(0), (), ()]


def _dynamic(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    low = np.minimum(np.float32(0), x.min(initial=np.inf)).astype(np.float32)
    high = np.maximum(np.float32(0), x.max(initial=-np.inf)).astype(np.float32)
    scale = np.asarray((high - low) / np.float32(255))
    zero = saturate(np.rint(widened(np.asarray(-low / scale if scale else np.float32(0)))), "uint8")
    y = saturate(np.rint(widened(x / scale if scale else np.zeros_like(x))) + zero.astype(np.float64), "uint8")
    return [y, scale, zero]


define(OpDef("dynamic_quantize_linear", typed(_dynamic_shapes, "uint8", "fp32", "uint8"), _dynamic, outputs=(3, 3)))


TABLE = 256  # entries: one for each byte


def _lookup_shapes(call: Call) -> list[Shape | None]:
    if call.shape(1) != (TABLE,):
        raise call.refuse(f"the table must have {TABLE} entries, got shape {call.shape(1)}")
    return [call.shape(0)]


def _lookup_dtype(call: Call) -> str:
    dtype_of(0, among=_BYTES)(call)
    return dtype_of(1, among=_BYTES)(call)


def _lookup(attributes: Mapping[str, Any], x: Array, table: Array) -> list[Array]:
    return [np.asarray(table[x.view(np.uint8)])]


_BYTES = ("uint8", "int8")
define(
    OpDef(  # Beyond ONNX: y is the entry that x's bits, as a number without a sign, are the place of.
        "lookup",
        typed(_lookup_shapes, _lookup_dtype),
        _lookup,
        inputs=(2, 2),
        candidates=(Candidate("quant", "table", when=lambda call: call.value(1) is not None, dtypes=_BYTES),),
        weights=((1,), ()),
    )
)
