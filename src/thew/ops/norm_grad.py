"""Batch norm in training (Ioffe and Szegedy 2015), and its gradient.

With x̂ = (x − mean) · inv_std over N elements and g = dy · scale,
dx = inv_std · (g − mean(g) − x̂ · mean(g · x̂)), dscale = Σ dy · x̂ and dbias = Σ dy. Statistics are taken in fp64.

Where `ranks` processes normalise a batch together, batch norm is given what all of them found: in training the moments
(mean and mean square of every channel, summed over the processes' shares), in the gradient both sums. dscale and dbias
are then one process's share of those.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import FLOATS
from thew.ir.graph import Array
from thew.ops.conv import channelwise
from thew.ops.norm import check_per_channel
from thew.ops.opdef import Call, Candidate, OpDef, define
from thew.ops.rules import Shape, dtype_of, mean_along, rank_at_least, typed, widened


def _batch_axes(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _training_shapes(call: Call) -> list[Shape | None]:
    shape = rank_at_least(call, 2)
    check_per_channel(call, (1, 2, 3, 4), shape[1])
    _check_pairs(call, shape[1])
    return [shape, *[shape[1:2]] * 4]


def _check_pairs(call: Call, channels: int) -> None:
    if call.has(5) and call.shape(5) != (2, channels):
        raise call.refuse(f"input 5 must have shape (2, {channels}), two numbers a channel, got {call.shape(5)}")


def _training_reference(
    attributes: Mapping[str, Any],
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    variance: Array,
    moments: Array | None = None,
) -> list[Array]:
    wide, axes = widened(x), _batch_axes(x)
    middle = mean_along(wide, axes)
    spread = mean_along((wide - middle) ** 2, axes).reshape(-1)
    if moments is not None:
        middle = channelwise(moments[0], x.ndim)
        spread = np.maximum(moments[1] - moments[0] ** 2, 0)
    inverse = 1 / np.sqrt(spread + attributes["epsilon"])
    y = (wide - middle) * channelwise(inverse * widened(scale), x.ndim) + channelwise(widened(bias), x.ndim)
    share, count = attributes["momentum"], attributes["ranks"] * (x.size // max(x.shape[1], 1))
    unbiased = spread * (count / max(count - 1, 1))
    next_mean = widened(mean) * (1 - share) + middle.reshape(-1) * share
    next_variance = widened(variance) * (1 - share) + unbiased * share
    statistics = (next_mean, next_variance, middle.reshape(-1), inverse)
    return [y.astype(x.dtype), *(array.astype(mean.dtype) for array in statistics)]


# As PyTorch counts: `momentum` is the new batch's share, and the running variance takes the unbiased one.
define(
    OpDef(
        "batch_norm_training",
        typed(_training_shapes, dtype_of(0, among=FLOATS), dtype_of(1, 2, 3, 4, among=FLOATS)),
        _training_reference,
        {"epsilon": 1e-5, "momentum": 0.1, "ranks": 1},
        (5, 6),
        (5, 5),
        flops=lambda call: 5 * prod(call.shape(0)),
        candidates=(Candidate("batch_norm", "strided", "channels_last"),),
        updates=((1, 3), (2, 4)),
    )
)


def _moments_shapes(call: Call) -> list[Shape | None]:
    return [(2, rank_at_least(call, 2)[1])]


def _moments_reference(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    wide, axes = widened(x), _batch_axes(x)
    return [np.stack([mean_along(power, axes).reshape(-1) for power in (wide, wide**2)]) / attributes["ranks"]]


# Each channel's mean and mean square, a share of 1 / ranks: summed over the processes, those of all.
define(
    OpDef(
        "batch_norm_moments",
        typed(_moments_shapes, lambda call: "fp64"),
        _moments_reference,
        {"ranks": 1},
        (1, 1),
        flops=lambda call: 3 * prod(call.shape(0)),
        candidates=(Candidate("batch_norm", "strided", "channels_last"),),
    )
)


def _gradients(
    dy: Array, scaled: Array, standard: Array, inverse: Array, axes: tuple[int, ...]
) -> tuple[Array, Array, Array]:
    """dx, and the terms of which dscale and dbias are sums."""
    centred = scaled - mean_along(scaled, axes) - standard * mean_along(scaled * standard, axes)
    return inverse * centred, dy * standard, dy


def _batch_grad_shapes(call: Call) -> list[Shape | None]:
    shape = rank_at_least(call, 2)
    if call.shape(1) != shape:
        raise call.refuse(f"dy and x must have one shape, got {shape} and {call.shape(1)}")
    check_per_channel(call, (2, 3, 4), shape[1])
    _check_pairs(call, shape[1])
    return [shape, shape[1:2], shape[1:2]]


def _batch_grad_reference(
    attributes: Mapping[str, Any],
    dy: Array,
    x: Array,
    scale: Array,
    mean: Array,
    inverse: Array,
    sums: Array | None = None,
) -> list[Array]:
    wide, axes = widened(dy), _batch_axes(x)
    spread = channelwise(widened(inverse), x.ndim)
    standard = (widened(x) - channelwise(widened(mean), x.ndim)) * spread
    if sums is not None:
        ranks = attributes["ranks"]
        of_dy, of_product = sums / (ranks * (x.size // max(x.shape[1], 1)))
        less = channelwise(of_dy, x.ndim) + standard * channelwise(of_product, x.ndim)
        dx = spread * channelwise(widened(scale), x.ndim) * (wide - less)
        return [dx.astype(dy.dtype), *((total / ranks).astype(scale.dtype) for total in sums[::-1])]
    dx, for_scale, for_bias = _gradients(wide, wide * channelwise(widened(scale), x.ndim), standard, spread, axes)
    return [dx.astype(dy.dtype), for_scale.sum(axes).astype(scale.dtype), for_bias.sum(axes).astype(scale.dtype)]


define(
    OpDef(
        "batch_norm_grad",
        typed(_batch_grad_shapes, dtype_of(0, 1, among=FLOATS), dtype_of(2, 3, 4, among=FLOATS)),
        _batch_grad_reference,
        {"ranks": 1},
        (5, 6),
        (3, 3),
        flops=lambda call: 8 * prod(call.shape(0)),
        candidates=(Candidate("batch_norm", "strided", "channels_last"),),
    )
)


def _sums_shapes(call: Call) -> list[Shape | None]:
    shape = rank_at_least(call, 2)
    if call.shape(1) != shape:
        raise call.refuse(f"dy and x must have one shape, got {shape} and {call.shape(1)}")
    check_per_channel(call, (2, 3), shape[1])
    return [(2, shape[1])]


def _sums_reference(attributes: Mapping[str, Any], dy: Array, x: Array, mean: Array, inverse: Array) -> list[Array]:
    wide, axes = widened(dy), _batch_axes(x)
    standard = (widened(x) - channelwise(widened(mean), x.ndim)) * channelwise(widened(inverse), x.ndim)
    return [np.stack([wide.sum(axes), (wide * standard).sum(axes)])]


# Σ dy and Σ dy · x̂ of every channel, which processes that normalise together sum before they take the gradient.
define(
    OpDef(
        "batch_norm_sums",
        typed(_sums_shapes, lambda call: "fp64"),
        _sums_reference,
        {},
        (4, 4),
        flops=lambda call: 5 * prod(call.shape(0)),
        candidates=(Candidate("batch_norm", "strided", "channels_last"),),
    )
)
