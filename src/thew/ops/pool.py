"""Pools over spatial windows: max (with indices), average, Lp, and their global forms; max_unpool.

The windows are those of `window.py`. A maximum propagates NaN; averages and norms sum in fp64.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import FLOATS
from thew.ir.graph import Array, Attribute
from thew.ops.conv import suits_batches
from thew.ops.index import within
from thew.ops.opdef import Call, Candidate, OpDef, call_of, define
from thew.ops.rules import Shape, checked, dtype_of, mean_along, rank_at_least, typed, widened
from thew.ops.window import MAX_EXTENT, Window, window_of

WINDOW: Mapping[str, Attribute] = {
    "auto_pad": "NOTSET",
    "ceil_mode": 0,
    "dilations": (),
    "kernel_shape": (),
    "pads": (),
    "strides": (),
}


def window(call: Call) -> Window:
    """The resolved geometry of a pool."""
    return window_of(call, rank_at_least(call, 3)[2:], tuple(call.attribute("kernel_shape")))


def resolved_pads(call: Call) -> Shape:
    """Pads as ONNX lists them, all begins and then all ends, with `auto_pad` resolved."""
    found = window(call)
    return found.pads


def is_planar(call: Call) -> bool:
    """Whether it has one or two spatial dimensions, as the native kernels want."""
    return len(call.shape(0)) in (3, 4)


def _shapes(call: Call) -> list[Shape | None]:
    return [call.shape(0)[:2] + window(call).output] * len(call.node.outputs)


def _max_reference(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    found = window(call_of("max_pool", attributes, (x,)))
    shape = x.shape[:2] + found.output
    best = np.full(shape, np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf, x.dtype)
    places, numbers = np.full(shape, -1, np.int64), _element_numbers(x.shape, attributes["storage_order"])
    for _, out, into in found.taps() if x.size else ():
        seen, held, place = x[into], best[out], places[out]
        wins = (seen > held) | (np.isnan(seen) & ~np.isnan(held)) if x.dtype.kind not in "iu" else seen > held
        wins |= place < 0
        best[out] = np.where(wins, seen, held)
        places[out] = np.where(wins, numbers[into], place)
    return [best, places]


def _element_numbers(shape: Shape, column_major: int) -> Array:
    """The place of each element in the flat tensor; column-major within each spatial plane on demand."""
    if not column_major:
        return np.arange(prod(shape), dtype=np.int64).reshape(shape)
    planes = np.arange(prod(shape), dtype=np.int64).reshape(shape[:2] + shape[:1:-1])
    return planes.transpose(0, 1, *range(len(shape) - 1, 1, -1))


def _average_reference(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    found = window(call_of("average_pool", attributes, (x,)))
    total = np.zeros(x.shape[:2] + found.output)
    for _, out, into in found.taps() if x.size else ():
        total[out] += widened(x[into])
    return [(total / found.counts(bool(attributes["count_include_pad"]))).astype(x.dtype)]


def _lp_reference(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    found, p = window(call_of("lp_pool", attributes, (x,))), attributes["p"]
    total = np.zeros(x.shape[:2] + found.output)
    for _, out, into in found.taps() if x.size else ():
        total[out] += np.abs(widened(x[into])) ** p
    return [(total ** (1 / p)).astype(x.dtype)]


def _flops(call: Call) -> int:
    found = window(call)
    return prod(call.shape(0)[:2]) * prod(found.output) * prod(found.kernel)


_DIRECT = Candidate("pool", "direct", "channels_last", is_planar, FLOATS)


def is_halving(call: Call) -> bool:
    """Whether windows are two wide and two apart, all inside the image: rows of pixels fill vectors of them."""
    found = window(call)
    pairs = set(found.kernel) == set(found.strides) == {2} and set(found.dilations) == {1}
    inside = all(2 * count <= extent for count, extent in zip(found.output, found.extents, strict=True))
    return is_planar(call) and pairs and inside and not any(found.pads)


def _suits_batches(call: Call) -> bool:
    return is_planar(call) and suits_batches(*call.shape(0)[:2])


def _is_native_max(call: Call) -> bool:
    return is_planar(call) and len([name for name in call.node.outputs if name]) == 1


define(
    OpDef(
        "max_pool",
        typed(_shapes, dtype_of(0, among=(*FLOATS, "int8", "uint8")), "int64"),
        _max_reference,
        {**WINDOW, "storage_order": 0},
        outputs=(1, 2),
        flops=_flops,
        candidates=(
            Candidate("pool", "direct", "batch_innermost", lambda call: _is_native_max(call) and _suits_batches(call)),
            Candidate("pool", "direct", "plain", lambda call: _is_native_max(call) and is_halving(call)),
            Candidate("pool", "direct", "channels_last", _is_native_max, (*FLOATS, "int8", "uint8")),
        ),
    )
)
define(
    OpDef(
        "average_pool",
        typed(_shapes, dtype_of(0, among=FLOATS)),
        _average_reference,
        {**WINDOW, "count_include_pad": 0},
        flops=_flops,
        candidates=(
            Candidate("pool", "direct", "batch_innermost", _suits_batches),
            Candidate("pool", "direct", "plain", is_halving),
            _DIRECT,
        ),
    )
)


def _lp_shapes(call: Call) -> list[Shape | None]:
    if call.attribute("p") < 1:
        raise call.refuse(f"p must be at least 1, got {call.attribute('p')}")
    return _shapes(call) if call.node.op == "lp_pool" else _global_shapes(call)


define(OpDef("lp_pool", typed(_lp_shapes, dtype_of(0, among=FLOATS)), _lp_reference, {**WINDOW, "p": 2}, flops=_flops))


def _global_shapes(call: Call) -> list[Shape | None]:
    shape = rank_at_least(call, 2)
    if 0 in shape[2:]:
        raise call.refuse(f"spatial extents must be at least 1, got {shape}")
    return [shape[:2] + (1,) * (len(shape) - 2)]


def _spatial(x: Array) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


def _global_average(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    return [mean_along(widened(x), _spatial(x)).astype(x.dtype)]


def _global_max(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    return [np.max(x, axis=_spatial(x), keepdims=True).astype(x.dtype)]


def _global_lp(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    p = attributes["p"]
    return [(np.sum(np.abs(widened(x)) ** p, axis=_spatial(x), keepdims=True) ** (1 / p)).astype(x.dtype)]


for _name, _global in (("global_average_pool", _global_average), ("global_max_pool", _global_max)):
    define(OpDef(_name, typed(_global_shapes, dtype_of(0, among=FLOATS)), _global, candidates=(_DIRECT,)))
define(OpDef("global_lp_pool", typed(_lp_shapes, dtype_of(0, among=FLOATS)), _global_lp, {"p": 2}))


def _unpool_extents(call: Call) -> Shape | None:
    """Spatial extents of the tensor that was pooled: those asked for, or the least that the windows span."""
    x, kernel = rank_at_least(call, 3), tuple(call.attribute("kernel_shape"))
    strides = tuple(call.attribute("strides")) or (1,) * (len(x) - 2)
    pads = tuple(call.attribute("pads")) or (0,) * (2 * (len(x) - 2))
    if (len(kernel), len(strides), len(pads)) != (len(x) - 2, len(x) - 2, 2 * len(x) - 4) or call.shape(1) != x:
        raise call.refuse(
            f"kernel_shape, strides and pads must fit {x} and the indices its shape, got {kernel}, {strides}, {pads}"
        )
    if any(not 0 <= number <= MAX_EXTENT for number in (*kernel, *strides, *pads)):
        raise call.refuse(f"kernel_shape, strides and pads must be at least 0, got {kernel}, {strides}, {pads}")
    rows = zip(x[2:], strides, kernel, pads, pads[len(kernel) :], strict=False)
    spanned = tuple((n - 1) * s + k - low - high for n, s, k, low, high in rows)
    checked(call, x[:2] + spanned)
    if not call.has(2):
        return spanned
    asked = call.ints(2)
    if asked is not None and len(asked) != len(x):
        raise call.refuse(f"output_shape must have {len(x)} extents, got {asked}")
    return None if asked is None else asked[2:]


def _unpool_shapes(call: Call) -> list[Shape | None]:
    extents = _unpool_extents(call)
    return [None if extents is None else call.shape(0)[:2] + extents]


def _unpool(attributes: Mapping[str, Any], x: Array, indices: Array, shape: Array | None = None) -> list[Array]:
    # Indices count in the tensor that the windows span, also where a larger one is asked for.
    spanned = _unpool_extents(call_of("max_unpool", attributes, (x, indices)))
    asked = _unpool_extents(call_of("max_unpool", attributes, (x, indices, shape)))
    assert spanned is not None and asked is not None
    rest = within("max_unpool", indices.reshape(-1), prod(x.shape[:2] + spanned))
    places, is_inside = [], np.ones(rest.shape, np.bool_)
    for old, new in zip((*x.shape[:2], *spanned)[::-1], (*x.shape[:2], *asked)[::-1], strict=True):
        rest, place = np.divmod(rest, old)
        places.append(place)
        is_inside &= place < new
    y = np.zeros(x.shape[:2] + asked, x.dtype)
    y[tuple(place[is_inside] for place in reversed(places))] = x.reshape(-1)[is_inside]
    return [y]


define(
    OpDef(
        "max_unpool",
        typed(_unpool_shapes, dtype_of(0, among=FLOATS)),
        _unpool,
        {"kernel_shape": (), "pads": (), "strides": ()},
        (2, 3),
    )
)
