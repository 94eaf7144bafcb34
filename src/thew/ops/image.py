"""Ops on images that move pixels in blocks or crop: depth_to_space, space_to_depth (Shi et al. 2016), col2_im and
center_crop_pad.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import NATIVE
from thew.ir.graph import Array
from thew.ops.opdef import Call, Candidate, OpDef, call_of, define
from thew.ops.rules import Shape, axes_of, first_dtype, typed, widened
from thew.ops.window import MAX_EXTENT, Window, window_of


def _no_flops(call: Call) -> int:
    return 0


def _block_of(call: Call) -> int:
    block = call.attribute("blocksize")
    if not isinstance(block, int) or not 1 <= block <= 1 << 20:
        raise call.refuse(f"blocksize must be at least 1, got {block}")
    if call.attribute("mode") not in ("DCR", "CRD"):
        raise call.refuse(f"mode must be DCR or CRD, got {call.attribute('mode')!r}")
    if len(call.shape(0)) != 4:
        raise call.refuse(f"input 0 must be (n, c, h, w), got {call.shape(0)}")
    return block


def _depth_to_space_shapes(call: Call) -> list[Shape | None]:
    block = _block_of(call)
    n, c, h, w = call.shape(0)
    if c % (block * block):
        raise call.refuse(f"channels must be a multiple of blocksize² = {block * block}, got {c}")
    return [(n, c // (block * block), h * block, w * block)]


def _depth_to_space(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    block = attributes["blocksize"]
    n, c, h, w = x.shape
    depth = c // (block * block)
    if attributes["mode"] == "DCR":
        y = x.reshape(n, block, block, depth, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        y = x.reshape(n, depth, block, block, h, w).transpose(0, 1, 4, 2, 5, 3)
    return [y.reshape(n, depth, h * block, w * block)]


def _space_to_depth_shapes(call: Call) -> list[Shape | None]:
    block = _block_of(call)
    n, c, h, w = call.shape(0)
    if h % block or w % block:
        raise call.refuse(f"height and width must be multiples of blocksize {block}, got {h} and {w}")
    return [(n, c * block * block, h // block, w // block)]


def _space_to_depth(attributes: Mapping[str, Any], x: Array) -> list[Array]:
    block = attributes["blocksize"]
    n, c, h, w = x.shape
    order = (0, 3, 5, 1, 2, 4) if attributes["mode"] == "DCR" else (0, 1, 3, 5, 2, 4)
    y = x.reshape(n, c, h // block, block, w // block, block).transpose(order)
    return [y.reshape(n, c * block * block, h // block, w // block)]


for _name, _shapes, _reference in (
    ("depth_to_space", _depth_to_space_shapes, _depth_to_space),
    ("space_to_depth", _space_to_depth_shapes, _space_to_depth),
):
    define(
        OpDef(
            _name,
            typed(_shapes),
            _reference,
            {"blocksize": None, "mode": "DCR"},
            flops=_no_flops,
            candidates=(Candidate("view", "strided", dtypes=NATIVE),),
        )
    )


def _col2im_window(call: Call) -> tuple[Window, int] | None:
    """The windows over the image, and the channels; None where the image's extents are not constant."""
    image, block, columns = call.ints(1), call.ints(2), call.shape(0)
    if image is None or block is None:
        return None
    if len(columns) != 3 or any(not 0 <= extent <= MAX_EXTENT for extent in image):
        raise call.refuse(
            f"input 0 must be (n, c·block, windows) and image_shape at least 0, got {columns} and {image}"
        )
    found = window_of(call, image, block)
    if columns[1] % prod(block) or columns[2] != prod(found.output):
        raise call.refuse(f"columns must be (n, c·{prod(block)}, {prod(found.output)}), got {columns}")
    return found, columns[1] // prod(block)


def _col2im_shapes(call: Call) -> list[Shape | None]:
    found = _col2im_window(call)
    return [None if found is None else (call.shape(0)[0], found[1], *found[0].extents)]


def _col2im(attributes: Mapping[str, Any], x: Array, image: Array, block: Array) -> list[Array]:
    resolved = _col2im_window(call_of("col2_im", attributes, (x, image, block)))
    assert resolved is not None
    found, channels = resolved
    rank = len(found.kernel)
    columns = widened(x).reshape(x.shape[0], channels, *found.kernel, *found.output)
    columns = np.moveaxis(columns, range(2, 2 + rank), range(-rank, 0))
    total = np.zeros((x.shape[0], channels, *found.extents), columns.dtype)
    for tap, out, into in found.taps() if x.size else ():
        total[into] += columns[tap][out]
    return [total.astype(x.dtype)]


define(
    OpDef(
        "col2_im",
        typed(_col2im_shapes),
        _col2im,
        {"auto_pad": "NOTSET", "dilations": (), "pads": (), "strides": ()},
        (3, 3),
    )
)


def _cropped_shape(call: Call) -> Shape | None:
    shape, wanted = call.shape(0), call.ints(1)
    if wanted is None:
        return None
    axes = axes_of(call, tuple(call.attribute("axes")) or tuple(range(len(shape))), len(shape))
    if len(axes) != len(wanted) or any(extent < 0 for extent in wanted):
        raise call.refuse(f"shape must be {len(axes)} extents of at least 0, got {wanted}")
    return tuple(wanted[axes.index(axis)] if axis in axes else extent for axis, extent in enumerate(shape))


def _center_crop_pad(attributes: Mapping[str, Any], x: Array, shape: Array) -> list[Array]:
    wanted = _cropped_shape(call_of("center_crop_pad", attributes, (x, shape)))
    assert wanted is not None
    y = np.zeros(wanted, x.dtype)
    source, target = [], []
    for old, new in zip(x.shape, wanted, strict=True):
        cut, grown = max(old - new, 0) // 2, max(new - old, 0) // 2
        source.append(slice(cut, cut + min(old, new)))
        target.append(slice(grown, grown + min(old, new)))
    y[tuple(target)] = x[tuple(source)]
    return [y]


define(
    OpDef(
        "center_crop_pad",
        typed(lambda call: [_cropped_shape(call)], first_dtype),
        _center_crop_pad,
        {"axes": ()},
        (2, 2),
        flops=_no_flops,
    )
)
