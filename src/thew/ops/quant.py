"""Quantisation: quantize_linear, dequantize_linear, dynamic_quantize_linear, and the integer forms of conv and matmul.

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
from thew.ops.conv import WINDOW, check_bias, correlate, output_shape, window
from thew.ops.matmul import product_shape
from thew.ops.opdef import Call, Candidate, OpDef, call_of, define
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


def _centred(x: Array, zero: Array | None, axis: int) -> Array:
    """Whole numbers less their zero point (one, or one a place along the axis), in fp64, so that sums stay exact."""
    wide = widened(x).astype(np.float64)
    if zero is None or x.ndim == 0:
        return wide
    point = widened(zero).astype(np.float64)
    if point.ndim == 1 and point.size > 1:
        point = point.reshape([-1 if place == axis % x.ndim else 1 for place in range(x.ndim)])
    return np.asarray(wide - (point.reshape(()) if point.size == 1 else point))


def _check_point(call: Call, index: int, extent: int) -> None:
    """A scale or zero point is one number, or one for each place along an axis."""
    if call.has(index) and call.shape(index) not in ((), (1,), (extent,)):
        raise call.refuse(f"input {index} must be one number or {extent} of them, got shape {call.shape(index)}")


def _eight_bits(call: Call, pairs: tuple[tuple[int, int], ...]) -> None:
    for tensor, zero in pairs:
        dtype_of(tensor, zero, among=("int8", "uint8"))(call)


def _conv_integer_shapes(call: Call) -> list[Shape | None]:
    _eight_bits(call, ((0, 2), (1, 3)))
    shape = output_shape(call)
    _check_point(call, 2, 1)
    _check_point(call, 3, shape[1])
    return [shape]


def _conv_integer(
    attributes: Mapping[str, Any], x: Array, w: Array, x_zero: Array | None = None, w_zero: Array | None = None
) -> list[Array]:
    found = window(call_of("conv_integer", attributes, (x, w)))
    return [
        correlate(_centred(x, x_zero, 1), _centred(w, w_zero, 0), found, attributes["group"])
        .astype(np.int64)
        .astype(np.int32)
    ]


def _conv_flops(call: Call) -> int:
    weight = 3 if call.node.op == "qlinear_conv" else 1
    return 2 * prod(output_shape(call, weight)) * prod(call.shape(weight)[1:])


define(OpDef("conv_integer", typed(_conv_integer_shapes, "int32"), _conv_integer, WINDOW, (2, 4), flops=_conv_flops))


def _qlinear_conv_shapes(call: Call) -> list[Shape | None]:
    _eight_bits(call, ((0, 2), (3, 5)))
    shape = output_shape(call, 3)
    for index in (1, 2, 6, 7):
        _check_point(call, index, 1)
    _check_point(call, 4, shape[1])
    _check_point(call, 5, shape[1])
    check_bias(call, 8, shape[1])
    return [shape]


def _qlinear_conv(attributes: Mapping[str, Any], *inputs: Array | None) -> list[Array]:
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, *rest = inputs
    assert x is not None and w is not None and x_scale is not None and w_scale is not None
    assert y_scale is not None and y_zero is not None
    found = window(call_of("qlinear_conv", attributes, inputs), 3)
    total = correlate(_centred(x, x_zero, 1), _centred(w, w_zero, 0), found, attributes["group"])
    per_channel = (1, -1, *(1,) * (x.ndim - 2))
    if rest and rest[0] is not None:
        total += rest[0].astype(np.float64).reshape(per_channel)
    factor = widened(x_scale).reshape(()) * widened(w_scale).reshape(per_channel) / widened(y_scale).reshape(())
    return [saturate(np.rint(total * factor) + float(y_zero.reshape(-1)[0]), from_numpy(y_zero.dtype))]


define(
    OpDef(
        "qlinear_conv",
        typed(_qlinear_conv_shapes, dtype_of(7, among=("int8", "uint8"))),
        _qlinear_conv,
        WINDOW,
        (8, 9),
        flops=_conv_flops,
    )
)


def _point_shape_fits(call: Call, index: int, of: int, axis: int) -> None:
    """A zero point of a matrix: one number, one a row or column, or one for each of every matrix of a batch."""
    shape, point = call.shape(of), call.shape(index)
    kept = tuple(1 if place == len(shape) + axis else extent for place, extent in enumerate(shape))
    if prod(point) != 1 and point not in (kept, tuple(kept[-1:]) if axis == -2 else tuple(kept[-2:-1])):
        raise call.refuse(f"input {index} must be one number or broadcast along one axis of {shape}, got shape {point}")


def _matmul_integer_shapes(call: Call) -> list[Shape | None]:
    _eight_bits(call, ((0, 2), (1, 3)))
    for index, of, axis in ((2, 0, -1), (3, 1, -2)):
        if call.has(index):
            _point_shape_fits(call, index, of, axis)
    return [product_shape(call)]


def _matmul_integer(
    attributes: Mapping[str, Any], a: Array, b: Array, a_zero: Array | None = None, b_zero: Array | None = None
) -> list[Array]:
    return [np.asarray(np.matmul(_centred(a, a_zero, -2), _centred(b, b_zero, -1))).astype(np.int64).astype(np.int32)]


def _matmul_flops(call: Call) -> int:
    right = 3 if call.node.op == "qlinear_matmul" else 1
    return 2 * prod(product_shape(call, 0, right)) * call.shape(0)[-1]


define(
    OpDef("matmul_integer", typed(_matmul_integer_shapes, "int32"), _matmul_integer, {}, (2, 4), flops=_matmul_flops)
)


def _qlinear_matmul_shapes(call: Call) -> list[Shape | None]:
    for index, of, axis in ((1, 0, -1), (2, 0, -1), (4, 3, -2), (5, 3, -2)):
        _point_shape_fits(call, index, of, axis)
    for index in (6, 7):
        _check_point(call, index, 1)
    return [product_shape(call, 0, 3)]


def _qlinear_matmul(attributes: Mapping[str, Any], *inputs: Array) -> list[Array]:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = inputs
    left = _centred(a, a_zero, -2) * _as_factor(a_scale, a, -2)
    right = _centred(b, b_zero, -1) * _as_factor(b_scale, b, -1)
    real = np.asarray(np.matmul(left, right)) / widened(y_scale).reshape(())
    return [saturate(np.rint(real) + float(y_zero.reshape(-1)[0]), from_numpy(y_zero.dtype))]


def _as_factor(scale: Array, of: Array, axis: int) -> Array:
    wide = widened(scale)
    if wide.size == 1:
        return wide.reshape(())
    return wide.reshape([-1 if place == axis % of.ndim else 1 for place in range(of.ndim)]) if wide.ndim == 1 else wide


define(
    OpDef(
        "qlinear_matmul",
        typed(_qlinear_matmul_shapes, dtype_of(7, among=("int8", "uint8"))),
        _qlinear_matmul,
        {},
        (8, 8),
        flops=_matmul_flops,
    )
)
