"""Ops that join, cut or repeat tensors: concat, split, slice, pad, tile. Views and copies to the planner; `resolved_*`
and `split_sizes` tell it which. Nothing here allocates by an attribute before `infer` has named the result's size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thew.dtypes import NATIVE
from thew.ir.graph import Array
from thew.ops.opdef import Call, Candidate, OpDef, call_of, define
from thew.ops.rules import (
    Shape,
    all_one_dtype,
    axes_of,
    axis_of,
    constant_inputs,
    dtype_of,
    first_dtype,
    rank_at_least,
    typed,
)


def _no_flops(call: Call) -> int:
    return 0


def concat_axis(call: Call) -> int:
    """The axis of a concat, from the front."""
    return axis_of(call, call.attribute("axis"), len(rank_at_least(call, 1)))


def _concat_shapes(call: Call) -> list[Shape | None]:
    first, axis = call.shape(0), concat_axis(call)
    shapes = [call.shape(index) for index in range(len(call.types))]
    for index, shape in enumerate(shapes):
        if len(shape) != len(first) or shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
            raise call.refuse(f"inputs must agree but for axis {axis}, got {first} and, for input {index}, {shape}")
    return [(*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])]


def _concat(attributes: Mapping[str, Any], *inputs: Array) -> list[Array]:
    return [np.concatenate(inputs, axis=attributes["axis"])]


define(
    OpDef(
        "concat",
        typed(_concat_shapes, all_one_dtype),
        _concat,
        {"axis": None},
        (1, -1),
        flops=_no_flops,
        candidates=(Candidate("view", "strided", dtypes=NATIVE),),
    )
)


def split_sizes(call: Call) -> tuple[int, ...] | None:
    """Extents of a split's outputs along its axis; None where they are not constant."""
    shape = rank_at_least(call, 1)
    extent = shape[axis_of(call, call.attribute("axis"), len(shape))]
    count = call.attribute("num_outputs")
    if call.has(1):
        sizes = call.ints(1)
        if sizes is None:
            return None
    else:
        if not isinstance(count, int) or not 1 <= count <= 1 << 20:
            raise call.refuse(f"num_outputs must be given (there is no input 1) and be at least 1, got {count}")
        step = -(-extent // count)
        sizes = tuple(max(0, min(step, extent - index * step)) for index in range(count))
    if any(size < 0 for size in sizes) or sum(sizes) != extent:
        raise call.refuse(f"split must be sizes that sum to {extent}, got {sizes}")
    return sizes


def _split_shapes(call: Call) -> list[Shape | None]:
    shape, sizes = call.shape(0), split_sizes(call)
    if sizes is None:
        return [None] * len(call.node.outputs)
    if len(sizes) != len(call.node.outputs):
        raise call.refuse(f"must have an output for each of {len(sizes)} parts, got {len(call.node.outputs)}")
    axis = axis_of(call, call.attribute("axis"), len(shape))
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]


def _split(attributes: Mapping[str, Any], x: Array, split: Array | None = None) -> list[Array]:
    sizes = split_sizes(call_of("split", attributes, (x, split)))
    assert sizes is not None
    return list(np.split(x, np.cumsum(sizes)[:-1], axis=attributes["axis"]))


define(
    OpDef(
        "split",
        typed(_split_shapes),
        _split,
        {"axis": 0, "num_outputs": None},
        (1, 2),
        (1, -1),
        flops=_no_flops,
        candidates=(Candidate("view", "strided", dtypes=NATIVE, when=constant_inputs(1)),),
    )
)


def resolved_slice(call: Call) -> tuple[tuple[int, int, int], ...] | None:
    """(start, step, count) of a slice for every axis, None where not constant. A start is valid if count > 0."""
    shape = call.shape(0)
    starts, ends = call.ints(1), call.ints(2)
    axes = call.ints(3) if call.has(3) else tuple(range(len(starts or ())))
    if starts is None or ends is None or axes is None:
        return None
    steps = call.ints(4) if call.has(4) else (1,) * len(starts)
    if steps is None:
        return None
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise call.refuse(
            f"starts, ends, axes and steps must be of one length, steps not 0, got {starts}, {ends}, {axes}, {steps}"
        )
    found = [(0, 1, extent) for extent in shape]
    for axis, start, end, step in zip(axes_of(call, axes, len(shape)), starts, ends, steps, strict=True):
        places = range(*slice(start, end, step).indices(shape[axis]))
        found[axis] = (places.start, step, len(places))
    return tuple(found)


def _slice_shapes(call: Call) -> list[Shape | None]:
    found = resolved_slice(call)
    return [None if found is None else tuple(count for _, _, count in found)]


def _slice(attributes: Mapping[str, Any], x: Array, *bounds: Array | None) -> list[Array]:
    found = resolved_slice(call_of("slice", attributes, (x, *bounds)))
    assert found is not None
    y = x
    for axis, (start, step, count) in enumerate(found):
        last = start + step * count
        cut = slice(start, None if last < 0 else last, step) if count else slice(0, 0)
        y = y[(slice(None),) * axis + (cut,)]
    return [y]


define(
    OpDef(
        "slice",
        typed(_slice_shapes),
        _slice,
        inputs=(3, 5),
        flops=_no_flops,
        candidates=(Candidate("view", "strided", dtypes=NATIVE, when=constant_inputs(1, 2, 3, 4)),),
    )
)

_MODES = ("constant", "edge", "reflect", "wrap")


def resolved_pad(call: Call) -> tuple[tuple[int, int], ...] | None:
    """(before, after) of a pad for every axis, negative where it crops; None where it is not constant."""
    shape, pads = call.shape(0), call.ints(1)
    axes = call.ints(3) if call.has(3) else tuple(range(len(shape)))
    if call.attribute("mode") not in _MODES:
        raise call.refuse(f"mode must be one of {', '.join(_MODES)}, got {call.attribute('mode')!r}")
    if pads is None or axes is None:
        return None
    if len(pads) != 2 * len(axes):
        raise call.refuse(f"pads must be {2 * len(axes)} numbers, got {pads}")
    found = [(0, 0)] * len(shape)
    for axis, before, after in zip(axes_of(call, axes, len(shape)), pads, pads[len(axes) :], strict=False):
        found[axis] = (before, after)
    return tuple(found)


def _pad_shapes(call: Call) -> list[Shape | None]:
    found, shape = resolved_pad(call), call.shape(0)
    if call.has(2) and call.shape(2) not in ((), (1,)):
        raise call.refuse(f"constant_value must be one number, got shape {call.shape(2)}")
    if found is None:
        return [None]
    result = []
    for extent, (before, after) in zip(shape, found, strict=True):
        if extent + min(before, 0) + min(after, 0) < (
            0 if call.attribute("mode") == "constant" else max(before, after, 0) > 0
        ):
            raise call.refuse(f"pads must leave something of {shape}, got {found}")
        result.append(extent + before + after)
    return [tuple(result)]


def pad_sources(mode: str, extent: int, before: int, after: int) -> Array:
    """Where along an axis of that extent each element of the padded axis comes from, where both pads are at least 0."""
    places = np.arange(-before, extent + after)
    if mode == "edge" or extent <= 1:
        return np.clip(places, 0, max(extent - 1, 0))
    if mode == "wrap":
        return np.asarray(places % extent)
    folded = places % (2 * (extent - 1))
    return np.minimum(folded, 2 * (extent - 1) - folded)


def _pad(
    attributes: Mapping[str, Any], x: Array, pads: Array, value: Array | None = None, axes: Array | None = None
) -> list[Array]:
    found = resolved_pad(call_of("pad", attributes, (x, pads, value, axes)))
    assert found is not None
    y = x[
        tuple(
            slice(max(0, -before), extent - max(0, -after))
            for extent, (before, after) in zip(x.shape, found, strict=True)
        )
    ]
    grown = [(max(before, 0), max(after, 0)) for before, after in found]
    if attributes["mode"] == "constant":
        fill = np.zeros((), x.dtype) if value is None else value.reshape(())
        padded = np.full([extent + sum(sides) for extent, sides in zip(y.shape, grown, strict=True)], fill, x.dtype)
        padded[tuple(slice(before, before + extent) for extent, (before, _) in zip(y.shape, grown, strict=True))] = y
        return [padded]
    for axis, (before, after) in enumerate(grown):
        if before or after:
            y = np.take(y, pad_sources(attributes["mode"], y.shape[axis], before, after), axis)
    return [y]


def _is_fill(call: Call) -> bool:
    return call.attribute("mode") == "constant" and constant_inputs(1, 2, 3)(call)


def _is_repetition(call: Call) -> bool:
    return call.attribute("mode") != "constant" and constant_inputs(1, 3)(call)


define(
    OpDef(
        "pad",
        typed(_pad_shapes, dtype_of(0, 2)),
        _pad,
        {"mode": "constant"},
        (2, 4),
        flops=_no_flops,
        candidates=(
            Candidate("view", "strided", dtypes=NATIVE, when=_is_fill),
            Candidate("move", "strided", dtypes=NATIVE, when=_is_repetition),
        ),
    )
)


def _tile_shapes(call: Call) -> list[Shape | None]:
    shape, repeats = call.shape(0), call.ints(1)
    if repeats is None:
        return [None]
    if len(repeats) != len(shape) or any(count < 0 for count in repeats):
        raise call.refuse(f"repeats must be {len(shape)} numbers of at least 0, got {repeats}")
    return [tuple(extent * count for extent, count in zip(shape, repeats, strict=True))]


def _tile(attributes: Mapping[str, Any], x: Array, repeats: Array) -> list[Array]:
    return [np.tile(x, tuple(int(count) for count in repeats.reshape(-1)))]


define(
    OpDef(
        "tile",
        typed(_tile_shapes, first_dtype),
        _tile,
        inputs=(2, 2),
        flops=_no_flops,
        candidates=(Candidate("view", "strided", dtypes=NATIVE),),
    )
)
