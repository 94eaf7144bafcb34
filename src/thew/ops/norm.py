"""Normalisations: batch (Ioffe and Szegedy 2015), instance, layer, group, RMS, local response, Lp, mean-variance.

All statistics are taken in fp64 and the result is rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import FLOATS
from thew.ir.graph import Array
from thew.ops.conv import channelwise
from thew.ops.opdef import Call, Candidate, OpDef, call_of, define
from thew.ops.rules import (
    Shape,
    axes_of,
    axis_of,
    demand_broadcast_to,
    dtype_of,
    mean_along,
    rank_at_least,
    same_shape,
    typed,
    widened,
)

_STRIDED = (Candidate("norm", "strided", dtypes=FLOATS),)
_floating = dtype_of(0, among=FLOATS)


def check_per_channel(call: Call, indices: tuple[int, ...], channels: int) -> None:
    """Refuses inputs that are not one number a channel."""
    for index in indices:
        if call.shape(index) != (channels,):
            raise call.refuse(
                f"input {index} must have shape ({channels},), one number a channel, got {call.shape(index)}"
            )


def _batch_shapes(call: Call) -> list[Shape | None]:
    shape = rank_at_least(call, 2)
    check_per_channel(call, (1, 2, 3, 4), shape[1])
    training = call.attribute("training_mode")
    return [shape, shape[1:2], shape[1:2]] if training else [shape]


def _batch_reference(
    attributes: Mapping[str, Any], x: Array, scale: Array, bias: Array, mean: Array, variance: Array
) -> list[Array]:
    wide, old_mean, old_variance = widened(x), widened(mean), widened(variance)
    used_mean, used_variance = old_mean, old_variance
    if attributes["training_mode"]:
        axes = (0, *range(2, x.ndim))
        used_mean = mean_along(wide, axes)
        used_variance = mean_along((wide - used_mean) ** 2, axes).reshape(-1)
        used_mean = used_mean.reshape(-1)
    factor = widened(scale) / np.sqrt(used_variance + attributes["epsilon"])
    y = (wide - channelwise(used_mean, x.ndim)) * channelwise(factor, x.ndim) + channelwise(widened(bias), x.ndim)
    if not attributes["training_mode"]:
        return [y.astype(x.dtype)]
    keep = attributes["momentum"]
    running = (old_mean * keep + used_mean * (1 - keep), old_variance * keep + used_variance * (1 - keep))
    return [y.astype(x.dtype), running[0].astype(mean.dtype), running[1].astype(variance.dtype)]


define(
    OpDef(
        "batch_normalization",
        typed(_batch_shapes, _floating, dtype_of(3, 4)),
        _batch_reference,
        {"epsilon": 1e-5, "momentum": 0.9, "training_mode": 0},
        (5, 5),
        (1, 3),
        flops=lambda call: 2 * prod(call.shape(0)),
        candidates=(
            Candidate("norm", "strided", dtypes=FLOATS, when=lambda call: not call.attribute("training_mode")),
        ),
    )
)


def standardised(x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array, Array]:
    """x less its mean over its standard deviation along the axes, with the mean and the inverse deviation."""
    middle = mean_along(x, axes)
    inverse = 1 / np.sqrt(mean_along((x - middle) ** 2, axes) + epsilon)
    return (x - middle) * inverse, middle, inverse


def _instance_shapes(call: Call) -> list[Shape | None]:
    shape = rank_at_least(call, 3)
    check_per_channel(call, (1, 2), shape[1])
    return [shape]


def _instance_reference(attributes: Mapping[str, Any], x: Array, scale: Array, bias: Array) -> list[Array]:
    y, _, _ = standardised(widened(x), tuple(range(2, x.ndim)), attributes["epsilon"])
    return [(y * channelwise(widened(scale), x.ndim) + channelwise(widened(bias), x.ndim)).astype(x.dtype)]


define(
    OpDef(
        "instance_normalization",
        typed(_instance_shapes, dtype_of(0, 1, 2, among=FLOATS)),
        _instance_reference,
        {"epsilon": 1e-5},
        (3, 3),
        candidates=_STRIDED,
    )
)


def check_groups(call: Call, channels: int) -> None:
    """Refuses a number of groups that does not divide the channels."""
    groups = call.attribute("num_groups")
    if not isinstance(groups, int) or groups < 1 or channels % groups:
        raise call.refuse(f"num_groups must be at least 1 and divide the {channels} channels, got {groups}")


def _group_shapes(call: Call) -> list[Shape | None]:
    shape = rank_at_least(call, 2)
    check_groups(call, shape[1])
    check_per_channel(call, (1, 2), shape[1])
    return [shape]


def _group_reference(attributes: Mapping[str, Any], x: Array, scale: Array, bias: Array) -> list[Array]:
    n, groups = x.shape[0], attributes["num_groups"]
    grouped = widened(x).reshape(n, groups, prod(x.shape[1:]) // groups)
    y = standardised(grouped, (2,), attributes["epsilon"])[0].reshape(x.shape)
    return [(y * channelwise(widened(scale), x.ndim) + channelwise(widened(bias), x.ndim)).astype(x.dtype)]


define(
    OpDef(
        "group_normalization",
        typed(_group_shapes, _floating),
        _group_reference,
        {"epsilon": 1e-5, "num_groups": None, "stash_type": 1},
        (3, 3),
        candidates=_STRIDED,
    )
)


def normalised_axes(call: Call) -> tuple[int, ...]:
    """The axes of a layer or RMS normalisation: from `axis` to the last."""
    rank = len(rank_at_least(call, 1))
    return tuple(range(axis_of(call, call.attribute("axis"), rank), rank))


def _layer_shapes(call: Call) -> list[Shape | None]:
    shape, axes = call.shape(0), normalised_axes(call)
    for index in (1, 2):
        if call.has(index):
            demand_broadcast_to(call, f"input {index}", call.shape(index), shape)
    reduced = shape[: axes[0]] + (1,) * len(axes)
    return [shape, reduced, reduced]


def _layer_reference(attributes: Mapping[str, Any], x: Array, scale: Array, bias: Array | None = None) -> list[Array]:
    axes = normalised_axes(call_of("layer_normalization", attributes, (x,)))
    y, mean, inverse = standardised(widened(x), axes, attributes["epsilon"])
    y = y * widened(scale)
    stash = np.float64 if x.dtype == np.float64 else np.float32
    return [(y if bias is None else y + widened(bias)).astype(x.dtype), mean.astype(stash), inverse.astype(stash)]


def _stash_dtype(call: Call) -> str:
    return "fp64" if call.type(0).dtype == "fp64" else "fp32"


define(
    OpDef(
        "layer_normalization",
        typed(_layer_shapes, dtype_of(0, 1, 2, among=FLOATS), _stash_dtype),
        _layer_reference,
        {"axis": -1, "epsilon": 1e-5, "stash_type": 1},
        (2, 3),
        (1, 3),
        candidates=(
            Candidate(
                "norm",
                "strided",
                dtypes=FLOATS,
                when=lambda call: len([name for name in call.node.outputs if name]) == 1,
            ),
        ),
    )
)


def _rms_reference(attributes: Mapping[str, Any], x: Array, scale: Array) -> list[Array]:
    axes = normalised_axes(call_of("rms_normalization", attributes, (x,)))
    wide = widened(x)
    root = np.sqrt(mean_along(wide**2, axes) + attributes["epsilon"])
    return [(wide / root * widened(scale)).astype(x.dtype)]


define(
    OpDef(
        "rms_normalization",
        typed(_layer_shapes, _floating),
        _rms_reference,
        {"axis": -1, "epsilon": 1e-5, "stash_type": 1},
        (2, 2),
    )
)


def _lrn_shapes(call: Call) -> list[Shape | None]:
    size = call.attribute("size")
    if not isinstance(size, int) or size < 1:
        raise call.refuse(f"size must be at least 1, got {size}")
    return [rank_at_least(call, 2)]


def _lrn_reference(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    """Krizhevsky et al. 2012, section 3.3; `size` channels around each, cut at the ends."""
    size, wide, channels = attributes["size"], widened(x), x.shape[1]
    running = np.concatenate([np.zeros_like(wide[:, :1]), np.cumsum(wide**2, axis=1)], axis=1)
    middle = np.arange(channels)
    low = np.maximum(middle - min((size - 1) // 2, channels), 0)
    high = np.minimum(middle + min(size // 2, channels), channels - 1) + 1
    squares = running[:, high] - running[:, low]
    scaled = attributes["bias"] + attributes["alpha"] / size * squares
    return [(wide / scaled ** attributes["beta"]).astype(x.dtype)]


define(
    OpDef(
        "lrn",
        typed(_lrn_shapes, _floating),
        _lrn_reference,
        {"alpha": 1e-4, "beta": 0.75, "bias": 1.0, "size": None},
        candidates=_STRIDED,
    )
)


def _lp_shapes(call: Call) -> list[Shape | None]:
    shape = rank_at_least(call, 1)
    axis_of(call, call.attribute("axis"), len(shape))
    if call.attribute("p") not in (1, 2):
        raise call.refuse(f"p must be 1 or 2, got {call.attribute('p')}")
    return [shape]


def _lp_reference(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    wide = widened(x)
    size = np.linalg.norm(wide, ord=attributes["p"], axis=attributes["axis"], keepdims=True)
    # A slice of zeros stays zeros.
    return [np.where(size == 0, 0, wide / size).astype(x.dtype)]


define(OpDef("lp_normalization", typed(_lp_shapes, _floating), _lp_reference, {"axis": -1, "p": 2}))


def _mean_variance_shapes(call: Call) -> list[Shape | None]:
    axes_of(call, call.attribute("axes"), len(call.shape(0)))
    return same_shape(call)


def _mean_variance_reference(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    wide, axes = widened(x), tuple(attributes["axes"])
    centred = wide - mean_along(wide, axes)
    deviation = np.sqrt(mean_along(centred**2, axes))
    return [(centred / (deviation + 1e-9)).astype(x.dtype)]


define(
    OpDef(
        "mean_variance_normalization",
        typed(_mean_variance_shapes, _floating),
        _mean_variance_reference,
        {"axes": (0, 2, 3)},
    )
)
