"""Arithmetic on 8-bit integers with scales: the integer forms of conv, matmul, add and mul.

Sums are exact; the qlinear_* ops then count them in steps of y. Beyond ONNX they take a bias (matmul, int32) and clamp
to `low` and `high`, which is where a clip between the sum and its quantisation goes; and conv a residual, which
qlinear_add would add to its result: inputs 9 to 13 are the residual, its scale and zero point, those of the sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import FLOATS, from_numpy
from thew.ir.graph import Array, Attribute
from thew.ops.cast import limits_of
from thew.ops.conv import WINDOW, check_bias, correlate, grouped_work, is_narrow_group, output_shape, window
from thew.ops.matmul import product_shape
from thew.ops.opdef import Call, Candidate, OpDef, Work, call_of, define, get
from thew.ops.quant import saturate
from thew.ops.rules import Shape, broadcast, dtype_of, typed, widened

RESIDUAL = 9  # of qlinear_conv
_CONV_INPUTS = RESIDUAL + 5
LIMITS: Mapping[str, Attribute] = {"low": None, "high": None}  # least and most of y; None: those of its dtype


def _centred(x: Array, zero: Array | None, axis: int) -> Array:
    """Whole numbers less their zero point (one, or one a place along the axis), in fp64, so that sums stay exact."""
    wide = widened(x).astype(np.float64)
    if zero is None:
        return wide
    point = widened(zero).astype(np.float64)
    if point.ndim == 1 and point.size > 1:
        point = point.reshape([-1 if place == axis % x.ndim else 1 for place in range(x.ndim)])
    return np.asarray(wide - (point.reshape(()) if point.size == 1 else point))


def _check_point(call: Call, index: int, extent: int) -> None:
    """A scale or zero point is one number, or one for each place along an axis."""
    if call.has(index) and call.shape(index) not in ((), (1,), (extent,)):
        raise call.refuse(f"input {index} must be one number or {extent} of them, got shape {call.shape(index)}")


def _check_steps(call: Call) -> None:
    """Scales are floats; limits are whole numbers that 32 bits hold, or absent."""
    for scale in (1, 4, 6):
        dtype_of(scale, among=FLOATS)(call)
    for name in LIMITS:
        value = call.attribute(name)
        if value is not None and not (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31):
            raise call.refuse(f"attribute {name} must be a whole number of 32 bits, got {value!r}")


def _requantized(attributes: Mapping[str, Any], total: Array, factor: Array, zero: Array) -> Array:
    """An exact sum in steps of y: rounded to fp32, scaled and rounded to fp32 again, halves to even."""
    dtype = from_numpy(zero.dtype)
    limits = zip(limits_of(dtype), (attributes["low"], attributes["high"]), strict=True)
    low, high = (int(limit if named is None else np.clip(named, *limits_of(dtype))) for limit, named in limits)
    scaled = total.astype(np.float32) * np.asarray(factor).astype(np.float32)
    steps = saturate(np.rint(scaled.astype(np.float64)) + float(zero.reshape(-1)[0]), dtype)
    return np.asarray(np.minimum(np.maximum(steps, steps.dtype.type(low)), steps.dtype.type(high)))


def _weight(call: Call) -> int:
    return 3 if call.node.op.startswith("qlinear_") else 1


def _is_planar(call: Call) -> bool:
    return len(call.shape(0)) in (3, 4)


def _is_pointwise(call: Call) -> bool:
    found = window(call, _weight(call))
    return _is_planar(call) and prod(found.kernel) == 1 and not any(found.pads) and call.attribute("group") == 1


_EXACT = 2**24  # whole numbers up to here are exact in fp32, in which the depthwise kernel sums


def _is_depthwise(call: Call) -> bool:
    """Whether the depthwise kernel may run it: all but x constant, and no sum beyond what fp32 counts."""
    if call.node.op != "qlinear_conv" or not (_is_planar(call) and call.attribute("group") == call.shape(0)[1] > 1):
        return False
    if call.has(RESIDUAL) or any(call.has(index) and call.value(index) is None for index in range(1, 9)):
        return False
    x_zero, weight, zero, bias = (call.value(index) for index in (2, 3, 5, 8))
    assert x_zero is not None and weight is not None and zero is not None
    centred = _centred(weight, zero, 0).reshape(weight.shape[0], -1)
    start = np.abs((0 if bias is None else bias.astype(np.float64)) - float(x_zero.reshape(-1)[0]) * centred.sum(1))
    return bool(np.all(start + 255 * np.abs(centred).sum(1) <= _EXACT))


def _is_group_of_quads(call: Call) -> bool:
    """Whether the kernel of narrow groups may run it: whole fours of channels, all but x constant, and weights less
    their zero points still bytes.
    """
    if call.node.op != "qlinear_conv" or not is_narrow_group(call, 3) or call.shape(3)[1] % 4 or call.has(RESIDUAL):
        return False
    weight, zero = call.value(3), call.value(5)
    if weight is None or zero is None or any(call.has(at) and call.value(at) is None for at in (1, 2, 4, 6, 7, 8)):
        return False
    centred = _centred(weight, zero, 0)
    return bool(centred.min(initial=0) >= -128 and centred.max(initial=0) <= 127)


_BYTES = ("uint8", "int8")
_SIDE_BY_SIDE = 4  # elements of a column in a vector: a 32-bit lane


def _convolution_work(call: Call) -> Work:
    groups, (channels, *taps) = int(call.attribute("group")), call.shape(_weight(call))
    return Work(_conv_flops(call) // 2, _SIDE_BY_SIDE * channels // groups, parts=groups, depth=prod(taps))


def _product_work(call: Call) -> Work:
    return Work(_matmul_flops(call) // 2, _SIDE_BY_SIDE * call.shape(_weight(call))[-1])


_CONVOLUTIONS = (
    Candidate("depthwise", "bytes", "channels_last", _is_depthwise, _BYTES),
    Candidate(
        "depthwise", "grouped", "channels_last", _is_group_of_quads, _BYTES, work=partial(grouped_work, weight=3)
    ),
    Candidate("integer", "packed", "channels_last", _is_pointwise, _BYTES, work=_convolution_work),
    Candidate("integer", "implicit", "channels_last", _is_planar, _BYTES, work=_convolution_work),
)
_PACKED = Candidate("integer", "packed", dtypes=_BYTES, work=_product_work)


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
    weight = _weight(call)
    return 2 * prod(output_shape(call, weight)) * prod(call.shape(weight)[1:])


define(
    OpDef(
        "conv_integer",
        typed(_conv_integer_shapes, "int32"),
        _conv_integer,
        WINDOW,
        (2, 4),
        flops=_conv_flops,
        candidates=_CONVOLUTIONS,
    )
)


def _qlinear_conv_shapes(call: Call) -> list[Shape | None]:
    _eight_bits(call, ((0, 2), (3, 5)))
    shape = output_shape(call, 3)
    for index in (1, 2, 6, 7):
        _check_point(call, index, 1)
    _check_point(call, 4, shape[1])
    _check_point(call, 5, shape[1])
    check_bias(call, 8, shape[1])
    _check_steps(call)
    if call.has(RESIDUAL):
        _check_residual(call, shape)
    return [shape]


def _check_residual(call: Call, shape: Shape) -> None:
    for index in range(RESIDUAL, _CONV_INPUTS):
        if not call.has(index):
            raise call.refuse(f"a residual must come with scale and zero point, and the sum's, got no input {index}")
    if call.shape(RESIDUAL) != shape:
        raise call.refuse(f"the residual must have the output's shape {shape}, got {call.shape(RESIDUAL)}")
    for index in (RESIDUAL, RESIDUAL + 2, RESIDUAL + 4):
        dtype_of(7, index, among=("int8", "uint8"))(call)
    for index in range(RESIDUAL + 1, _CONV_INPUTS):
        _check_point(call, index, 1)
    for index in (RESIDUAL + 1, RESIDUAL + 3):
        dtype_of(index, among=FLOATS)(call)


def _qlinear_conv(attributes: Mapping[str, Any], *inputs: Array | None) -> list[Array]:
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, *rest = inputs
    if len(inputs) > RESIDUAL and inputs[RESIDUAL] is not None:
        (y,) = _qlinear_conv({**attributes, **LIMITS}, *inputs[:RESIDUAL])
        return list(get("qlinear_add").reference(attributes, y, y_scale, y_zero, *inputs[RESIDUAL:]))
    assert x is not None and w is not None and x_scale is not None and w_scale is not None
    assert y_scale is not None and y_zero is not None
    found = window(call_of("qlinear_conv", attributes, inputs), 3)
    total = correlate(_centred(x, x_zero, 1), _centred(w, w_zero, 0), found, attributes["group"])
    per_channel = (1, -1, *(1,) * (x.ndim - 2))
    if rest and rest[0] is not None:
        total += rest[0].astype(np.float64).reshape(per_channel)
    factor = widened(x_scale).reshape(()) * widened(w_scale).reshape(per_channel) / widened(y_scale).reshape(())
    return [_requantized(attributes, total, factor, y_zero)]


define(
    OpDef(
        "qlinear_conv",
        typed(_qlinear_conv_shapes, dtype_of(7, among=("int8", "uint8"))),
        _qlinear_conv,
        {**WINDOW, **LIMITS},
        (8, _CONV_INPUTS),
        flops=_conv_flops,
        candidates=_CONVOLUTIONS,
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
    right = _weight(call)
    return 2 * prod(product_shape(call, 0, right)) * call.shape(0)[-1]


define(
    OpDef(
        "matmul_integer",
        typed(_matmul_integer_shapes, "int32"),
        _matmul_integer,
        {},
        (2, 4),
        flops=_matmul_flops,
        candidates=(_PACKED,),
    )
)


def _qlinear_matmul_shapes(call: Call) -> list[Shape | None]:
    _eight_bits(call, ((0, 2), (3, 5)))
    for index, of, axis in ((1, 0, -1), (2, 0, -1), (4, 3, -2), (5, 3, -2)):
        _point_shape_fits(call, index, of, axis)
    for index in (6, 7):
        _check_point(call, index, 1)
    shape = product_shape(call, 0, 3)
    if call.has(8) and call.shape(8) != shape[-1:]:
        raise call.refuse(f"bias must have shape {shape[-1:]}, got {call.shape(8)}")
    _check_steps(call)
    return [shape]


def _qlinear_matmul(attributes: Mapping[str, Any], *inputs: Array | None) -> list[Array]:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero, *rest = inputs
    assert a is not None and a_scale is not None and b is not None and b_scale is not None
    assert y_scale is not None and y_zero is not None
    total = np.asarray(np.matmul(_centred(a, a_zero, -2), _centred(b, b_zero, -1)))
    if rest and rest[0] is not None:
        total = total + rest[0].astype(np.float64)
    factor = _as_factor(a_scale, a, -2) * _as_factor(b_scale, b, -1) / widened(y_scale).reshape(())
    return [_requantized(attributes, total, factor, y_zero)]


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
        LIMITS,
        (8, 9),
        flops=_matmul_flops,
        candidates=(_PACKED,),
    )
)


def _pair_shapes(call: Call) -> list[Shape | None]:
    _eight_bits(call, ((0, 2), (3, 5)))
    for index in (1, 2, 4, 5, 6, 7):
        _check_point(call, index, 1)
    _check_steps(call)
    return [broadcast(call, call.shape(0), call.shape(3))]


def _qlinear_add(attributes: Mapping[str, Any], *inputs: Array) -> list[Array]:
    """Both operands are counted in steps of y first: each product and the sum rounds to fp32."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = inputs
    terms = [
        _centred(x, zero, 0).astype(np.float32)
        * (widened(scale).reshape(()) / widened(y_scale).reshape(())).astype(np.float32)
        for x, scale, zero in ((a, a_scale, a_zero), (b, b_scale, b_zero))
    ]
    return [_requantized(attributes, terms[0] + terms[1], np.ones((), np.float32), y_zero)]


def _qlinear_mul(attributes: Mapping[str, Any], *inputs: Array) -> list[Array]:
    """As of a convolution: the exact product, then one factor."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = inputs
    factor = widened(a_scale).reshape(()) * widened(b_scale).reshape(()) / widened(y_scale).reshape(())
    return [_requantized(attributes, _centred(a, a_zero, 0) * _centred(b, b_zero, 0), factor, y_zero)]


for _name, _reference in (("qlinear_add", _qlinear_add), ("qlinear_mul", _qlinear_mul)):
    define(
        OpDef(
            _name,
            typed(_pair_shapes, dtype_of(7, among=("int8", "uint8"))),
            _reference,
            LIMITS,
            (8, 8),
            candidates=(Candidate("quant", "pairs", dtypes=_BYTES),),
        )
    )
