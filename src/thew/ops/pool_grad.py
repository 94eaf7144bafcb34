"""Gradients of pools: max_pool_grad(x, dy), which finds the maxima again and stores nothing, average_pool_grad(dy).

Of equal maxima the first in the window (C order of the kernel) takes the gradient, as in ONNX and PyTorch. With the
activation relu, max_pool_grad is also the gradient of a relu before the pool, whose result x is.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import FLOATS
from thew.ir.graph import Array, TensorType
from thew.ops.conv import suits_batches
from thew.ops.opdef import Call, Candidate, OpDef, call_of, define, get
from thew.ops.pool import WINDOW, is_halving, is_planar, window
from thew.ops.rules import Shape, dtype_of, rank_at_least, shape_attribute, typed, widened


def forward_call(call: Call) -> Call:
    """The node as the pool whose gradient it is: of input x, with the same window."""
    if call.node.op == "max_pool_grad":
        x, gradient = call.type(0), call.shape(1)
    else:
        x, gradient = TensorType(call.type(0).dtype, shape_attribute(call, "input_shape")), call.shape(0)
    forward = Call(call.node, (x,), (None,))
    wanted = rank_at_least(forward, 3)[:2] + window(forward).output
    if gradient != wanted:
        raise call.refuse(f"dy must have the pool's output shape {wanted}, got {gradient}")
    return forward


def tiles(attributes: Mapping[str, Any], x: Shape, dy: Shape) -> bool:
    """Whether every element of x is in exactly one window, so that dx may be written over x: for attributes in which
    kernel, strides, pads and dilations are given.
    """
    kernel, strides = tuple(attributes["kernel_shape"]), tuple(attributes["strides"])
    apart = strides == kernel and not any(attributes["pads"]) and set(attributes["dilations"]) <= {1}
    return apart and all(o * step >= extent for o, step, extent in zip(dy[2:], strides, x[2:], strict=True))


def _max_shapes(call: Call) -> list[Shape | None]:
    if call.attribute("activation") not in ("", "relu"):
        raise call.refuse(f"activation must be relu or none, got {call.attribute('activation')!r}")
    return _shapes(call)


def _shapes(call: Call) -> list[Shape | None]:
    return [forward_call(call).shape(0)]


def _flops(call: Call) -> int:
    forward = forward_call(call)
    found = window(forward)
    return prod(forward.shape(0)[:2]) * prod(found.output) * prod(found.kernel)


def _max_reference(attributes: Mapping[str, Any], x: Array, dy: Array) -> list[Array]:
    _, places = get("max_pool").reference(attributes, x)
    dx: Array = np.zeros(x.size)
    is_inside = places >= 0  # a window over pads alone has no maximum
    np.add.at(dx, places[is_inside], widened(dy)[is_inside])
    dx = dx.reshape(x.shape)
    return [(np.where(x > 0, dx, 0) if attributes["activation"] == "relu" else dx).astype(dy.dtype)]


def _average_reference(attributes: Mapping[str, Any], dy: Array) -> list[Array]:
    forward = forward_call(call_of("average_pool_grad", attributes, (dy,)))
    found = window(forward)
    share = widened(dy) / found.counts(bool(attributes["count_include_pad"]))
    dx = np.zeros(forward.shape(0))
    for _, out, into in found.taps() if dy.size else ():
        dx[into] += share[out]
    return [dx.astype(dy.dtype)]


_DIRECT = (
    Candidate(
        "pool_grad", "direct", "batch_innermost", lambda call: is_planar(call) and suits_batches(*call.shape(0)[:2])
    ),
    Candidate("pool_grad", "direct", "plain", lambda call: is_halving(forward_call(call)) and len(call.shape(0)) == 4),
    Candidate("pool_grad", "direct", "channels_last", is_planar, FLOATS),
)
define(
    OpDef(
        "max_pool_grad",
        typed(_max_shapes, dtype_of(0, 1, among=FLOATS)),
        _max_reference,
        {**WINDOW, "activation": ""},
        inputs=(2, 2),
        flops=_flops,
        candidates=_DIRECT,
    )
)
define(
    OpDef(
        "average_pool_grad",
        typed(_shapes, dtype_of(0, among=FLOATS)),
        _average_reference,
        {**WINDOW, "count_include_pad": 0, "input_shape": ()},
        flops=_flops,
        candidates=_DIRECT,
    )
)
