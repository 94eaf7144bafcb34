"""Convolution: y[n, o, p] = Σ x[n, i, p·stride − pad + k·dilation] · w[o, i, k] (+ bias[o]) (+ residual), activated.

1 to 3 spatial dimensions, groups; input 3 is the residual of the fused form. References sum in fp64, tap by tap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import FLOATS, size_bytes
from thew.ir.graph import Array, Attribute
from thew.ops.activation import EPILOGUE, check_epilogue, epilogue
from thew.ops.opdef import Call, Candidate, OpDef, Work, call_of, define
from thew.ops.rules import Shape, demand_broadcast_to, dtype_of, rank_at_least, typed, widened
from thew.ops.sparsity import BLOCKS, is_sparse, sparse_work
from thew.ops.window import MAX_EXTENT, Window, resolve_pads, window_of

WINDOW: Mapping[str, Attribute] = {
    "auto_pad": "NOTSET",
    "dilations": (),
    "group": 1,
    "kernel_shape": (),
    "pads": (),
    "strides": (),
}


def window(call: Call, weight: int = 1) -> Window:
    """The resolved geometry of a convolution; `weight` is the index of the weights among its inputs."""
    x, w = rank_at_least(call, 3), call.shape(weight)
    kernel, group = tuple(call.attribute("kernel_shape")) or w[2:], call.attribute("group")
    if not 1 <= group <= MAX_EXTENT:
        raise call.refuse(f"group must be at least 1, got {group}")
    if len(w) != len(x) or x[1] % group or w[1] != x[1] // group or w[0] % group:
        expected = f"(oc, c/group{', k' * (len(x) - 2)}) with c/group = {x[1]}/{group} and oc a multiple of group"
        raise call.refuse(f"weight must be {expected}, got {w}")
    if kernel != w[2:]:
        raise call.refuse(f"kernel_shape must be the weight's {w[2:]}, got {kernel}")
    return window_of(call, x[2:], kernel)


def resolved_pads(call: Call) -> Shape:
    """Pads as ONNX lists them, all begins and then all ends, with `auto_pad` resolved."""
    found = (
        transpose_window(call)
        if call.node.op == "conv_transpose"
        else window(call, 3 if call.node.op == "qlinear_conv" else 1)
    )
    return found.pads


def is_depthwise(call: Call) -> bool:
    """Whether every group has one input channel (and there is more than one group)."""
    return bool(call.attribute("group") == call.shape(0)[1] > 1)


_WIDEST_GROUP = 32  # channels of a group that fill a tile of the matrix product


def is_narrow_group(call: Call, weight: int = 1) -> bool:
    """Whether groups of a few channels, as many on either side, fill vectors together or by themselves."""
    (oc, width), c = call.shape(weight)[:2], call.shape(0)[1]
    fills = width in (2, 4, 8, 16, _WIDEST_GROUP)
    return is_planar(call) and fills and oc == c > width


def grouped_work(call: Call, weight: int = 1) -> Work:
    """Of groups that vectors run across."""
    return Work(prod(output_shape(call, weight)) * prod(call.shape(weight)[1:]), call.shape(0)[1])


def is_pointwise(call: Call) -> bool:
    """Whether it is a matrix product: a 1×1 kernel in one group and no pads, at any stride."""
    found = window(call)
    return prod(found.kernel) == 1 and not any(found.pads) and call.attribute("group") == 1


FEW_CHANNELS = 4  # too few for vectors over them


def is_first_layer(call: Call) -> bool:
    """Whether it convolves a few planes in one group, as the first layer of a net does."""
    return is_planar(call) and call.attribute("group") == 1 and 0 < call.shape(0)[1] <= FEW_CHANNELS


def is_planar(call: Call) -> bool:
    """Whether it has one or two spatial dimensions, as the native kernels want."""
    return len(call.shape(0)) in (3, 4)


def suits_batches(batch: int, *channels: int) -> bool:
    """Whether vectors are better filled with images than with channels: many of those, few of these."""
    return batch > 0 and batch % 16 == 0 and max(channels) <= 16


def _suits_batches(call: Call) -> bool:
    (batch, channels, *_), alone = call.shape(0), call.attribute("group") == 1 and not call.has(3)
    return alone and is_planar(call) and suits_batches(batch, channels, call.shape(1)[0])


FEW_PLANES = 16  # channels up to which rows of pixels fill vectors better
FEW_PIXELS = 64  # of all samples: up to here, packing or rounding weights that change costs what their products gain


def suits_planes(call: Call, channels: tuple[int, ...], result: int = FEW_PLANES) -> bool:
    """Whether vectors are better filled with the pixels of a row than with channels: these are few, or of the result
    hardly any; and there are too few images.
    """
    apart = set(call.attribute("strides")) <= {1} and call.attribute("group") == 1 and not call.has(3)
    few = min(channels) > 0 and (max(channels) <= FEW_PLANES or result <= FEW_CHANNELS)
    return apart and few and not suits_batches(call.shape(0)[0], *channels)


def _suits_planes(call: Call) -> bool:
    return is_planar(call) and suits_planes(call, call.shape(1)[:2], call.shape(1)[0])


def _by_planes(call: Call) -> Work:
    """Vectors run along rows of y; x is copied once."""
    copied = 2 * prod(call.shape(0)) * size_bytes(call.type(0).dtype)
    return Work(_flops(call) // 2, output_shape(call)[-1], copied, copied // 2)


# F(m×m, r×r): m and r by algorithm of the family "winograd".
WINOGRAD: Mapping[str, tuple[int, int]] = {
    "4x4_3x3": (4, 3), "2x2_5x5": (2, 5), "2x2_3x3": (2, 3), "6x6_3x3": (6, 3), "3x3_2x2": (3, 2), "5x5_2x2": (5, 2),
}  # fmt: skip
_WINOGRAD_DTYPES = {"4x4_3x3": FLOATS, "2x2_3x3": FLOATS, "6x6_3x3": ("fp32",)}  # others: fp32 and fp64
_NEVER_BY_DEFAULT = ("6x6_3x3",)  # no faster than F(4×4, 3×3), and five times less accurate
_FEWEST_CHANNELS, _FEWEST_TILES = 8, 12
_LOOP_PRODUCTS = 8  # in whose time a tile's sums are begun and written: of narrow groups' short sums a large part
_FEWEST_TILES_A_TRANSFORM = 64  # where weights are no constants, and so transformed at each run


def is_winograd(call: Call, algorithm: str) -> bool:
    """Whether a Winograd algorithm can run a convolution, or its gradients: its window, at stride 1."""
    found, r = window(call), WINOGRAD[algorithm][1]
    return (
        found.kernel == (r, r)
        and found.strides == found.dilations == (1, 1)
        and 0 not in (*call.shape(0), *call.shape(1))
    )


def winograd_tiles(algorithm: str, result: Shape) -> int:
    """Tiles of a result of some shape: rows of the products."""
    return result[0] * prod(-(-extent // WINOGRAD[algorithm][0]) for extent in result[2:])


def is_winograd_default(call: Call, algorithm: str, result: Shape) -> bool:
    """Whether an algorithm may pay for a result of some shape.

    Tiles repay reading (m + r − 1)²/r² times the weights; channels repay transforming tiles.
    """
    channels = min(call.shape(1)[1], call.shape(1)[0] // call.attribute("group"))
    fewest = _FEWEST_TILES_A_TRANSFORM if call.value(1) is None else _FEWEST_TILES
    few = channels < _FEWEST_CHANNELS or winograd_tiles(algorithm, result) < fewest
    return not few and algorithm not in _NEVER_BY_DEFAULT


def winograd_work(call: Call, algorithm: str, result: Shape) -> Work:
    """(m + r − 1)² products, whose operands and results are written and read once more."""
    group, (oc, channels) = call.attribute("group"), call.shape(1)[:2]
    a_tile, element_bytes = (sum(WINOGRAD[algorithm]) - 1) ** 2, size_bytes(call.type(0).dtype)
    points = a_tile * winograd_tiles(algorithm, result)
    moved = 2 * points * (call.shape(0)[1] + oc) * element_bytes
    kept = 0 if call.value(1) is None else (a_tile - prod(call.shape(1)[2:])) * channels * oc * element_bytes
    summed = channels + (_LOOP_PRODUCTS if group > 1 else 0)
    return Work(points * summed * oc, result[1] // group, moved, WINOGRAD_BLOCK_BYTES, kept)


WINOGRAD_BLOCK_BYTES = 512 << 10  # of tiles at a time: they stay in a second-level cache


def winograd(forward: Callable[[Call], tuple[Call, Shape]], sums: tuple[str, ...] = ()) -> list[Candidate]:
    """The algorithms as candidates.

    `forward` gives the convolution that a call is, or is a gradient of, and the shape of the call's result. `sums`:
    see `Candidate`.
    """

    def candidate(algorithm: str) -> Candidate:
        return Candidate(
            "winograd",
            algorithm,
            "channels_last",
            lambda call: is_winograd(forward(call)[0], algorithm),
            _WINOGRAD_DTYPES.get(algorithm, ("fp32", "fp64")),
            lambda call: winograd_work(forward(call)[0], algorithm, forward(call)[1]),
            lambda call: is_winograd_default(forward(call)[0], algorithm, forward(call)[1]),
            sums,
        )

    return [candidate(algorithm) for algorithm in WINOGRAD]


def _forward(call: Call) -> tuple[Call, Shape]:
    return call, output_shape(call)


def output_shape(call: Call, weight: int = 1) -> Shape:
    """Shape of a convolution's output."""
    extents = window(call, weight).output
    return (call.shape(0)[0], call.shape(weight)[0], *extents)


def correlate(x: Array, w: Array, found: Window, group: int) -> Array:
    """The convolution's sum alone, in fp64 (exact for integers of up to 16 bits), shape (n, oc, spatial…)."""
    n, c, oc = x.shape[0], x.shape[1], w.shape[0]
    images = np.moveaxis(widened(x).astype(np.float64).reshape(n, group, c // group, *found.extents), 0, 2)
    weights = widened(w).astype(np.float64).reshape(group, oc // group, c // group, *found.kernel)
    total = np.zeros((group, oc // group, n, *found.output))
    for tap, out, into in found.taps() if images.size and weights.size else ():
        patch = images[into]
        part = np.matmul(weights[tap], patch.reshape(group, c // group, -1))
        total[out] += part.reshape(group, oc // group, *patch.shape[2:])
    return np.moveaxis(total.reshape(oc, n, *found.output), 0, 1)


def channelwise(vector: Array, rank: int) -> Array:
    """A vector over channels, shaped to broadcast against (n, c, spatial…)."""
    return vector.reshape(1, -1, *(1,) * (rank - 2))


def _shapes(call: Call) -> list[Shape | None]:
    shape = output_shape(call)
    check_bias(call, 2, shape[1])
    if call.has(3):
        demand_broadcast_to(call, "residual", call.shape(3), shape)
    check_epilogue(call)
    return [shape]


def check_bias(call: Call, index: int, channels: int) -> None:
    """Refuses a bias that is not one number a channel."""
    if call.has(index) and call.shape(index) != (channels,):
        raise call.refuse(f"bias must have shape ({channels},), got {call.shape(index)}")


def _reference(
    attributes: Mapping[str, Any], x: Array, w: Array, bias: Array | None = None, residual: Array | None = None
) -> list[Array]:
    total = correlate(x, w, window(call_of("conv", attributes, (x, w))), attributes["group"])
    if bias is not None:
        total += channelwise(widened(bias), x.ndim)
    return [epilogue(attributes, total, residual, x.dtype)]


def _flops(call: Call) -> int:
    return 2 * prod(output_shape(call)) * prod(call.shape(1)[1:])


def _patches_bytes(call: Call) -> int:
    """Bytes of the matrix of patches: a row for each pixel of the output."""
    shape, group = output_shape(call), int(call.attribute("group"))
    return prod(shape) // shape[1] * prod(call.shape(1)[1:]) * group * size_bytes(call.type(0).dtype)


def _product(call: Call) -> Work:
    groups, (channels, *taps) = int(call.attribute("group")), call.shape(1)
    return Work(_flops(call) // 2, channels // groups, parts=groups, depth=prod(taps))


def _gathered_product(call: Call) -> Work:
    return replace(_product(call), moved_bytes=2 * _patches_bytes(call), workspace_bytes=PACKED_BLOCK_BYTES)


PACKED_BLOCK_BYTES = 128 << 10  # of patches at a time: they stay in a second-level cache


def _is_planar_depthwise(call: Call) -> bool:
    return is_planar(call) and is_depthwise(call)


def _is_planar_pointwise(call: Call) -> bool:
    return is_planar(call) and is_pointwise(call)


def _is_sparse(call: Call) -> bool:
    return _is_planar_pointwise(call) and set(window(call).strides) == {1} and is_sparse(call, BLOCKS)


def _sparse(call: Call) -> Work:
    result = output_shape(call)
    passed = size_bytes("fp32") * (prod(call.shape(0)) + prod(result) * (2 if call.has(3) else 1))
    return sparse_work(call, BLOCKS, result[0] * prod(result[2:]), passed)


define(
    OpDef(
        "conv",
        typed(_shapes, dtype_of(0, 1, 2, 3, among=FLOATS, or_fp32=(1, 2))),
        _reference,
        {**WINDOW, **EPILOGUE},
        inputs=(2, 4),
        flops=_flops,
        weights=((1,), ()),
        candidates=(
            Candidate("conv_batch", "direct", "batch_innermost", _suits_batches),
            Candidate("conv_planes", "direct", "plain", _suits_planes, work=_by_planes),
            Candidate(
                "depthwise", "direct", "channels_last", lambda call: is_planar(call) and is_depthwise(call), FLOATS
            ),
            Candidate("depthwise", "grouped", "channels_last", is_narrow_group, ("fp32",), work=grouped_work),
            Candidate(
                "conv",
                "pointwise",
                "channels_last",
                _is_planar_pointwise,
                FLOATS,
                work=_product,
            ),
            Candidate("gemv", BLOCKS, "channels_last", _is_sparse, ("fp32",), work=_sparse),
            Candidate("conv", "direct", "channels_last", is_first_layer, work=_product),
            Candidate("conv", "implicit", "channels_last", is_planar, FLOATS, work=_gathered_product),
            *winograd(_forward),
            Candidate("im2col", "packed", "channels_last", is_planar, by_default=lambda call: False),
        ),
    )
)


def transpose_window(call: Call) -> Window:
    """The convolution of which a conv_transpose is the transpose: its windows slide over the output.

    `output` of the answer are the extents of input 0; `extents` those of the result.
    """
    x, w = rank_at_least(call, 3), call.shape(1)
    group, rank = call.attribute("group"), len(x) - 2
    kernel = tuple(call.attribute("kernel_shape")) or w[2:]
    if not 1 <= group <= MAX_EXTENT or len(w) != len(x) or w[0] != x[1] or x[1] % group or kernel != w[2:]:
        raise call.refuse(f"weight must be (c, oc/group, k…) with c = {x[1]}, group = {group}, k = {kernel}, got {w}")
    strides, dilations = call.attribute("strides") or (1,) * rank, call.attribute("dilations") or (1,) * rank
    extra = tuple(call.attribute("output_padding")) or (0,) * rank
    for name, values, least in (
        ("strides", strides, 1),
        ("dilations", dilations, 1),
        ("output_padding", extra, 0),
        ("kernel", kernel, 1),
    ):
        if len(values) != rank or any(not isinstance(v, int) or not least <= v <= MAX_EXTENT for v in values):
            raise call.refuse(f"{name} must be {rank} numbers of at least {least}, got {values}")
    spans = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    full = tuple((n - 1) * s + e + span for n, s, e, span in zip(x[2:], strides, extra, spans, strict=True))
    begin, end, extents = _transpose_pads(call, full, tuple(n * s for n, s in zip(x[2:], strides, strict=True)))
    return Window(extents, kernel, tuple(strides), tuple(dilations), begin, end, x[2:])


def _transpose_pads(call: Call, full: Shape, same: Shape) -> tuple[Shape, Shape, Shape]:
    """Pads and result of a transposed convolution whose unpadded result is `full`; SAME asks for the result `same`."""
    asked, how = tuple(call.attribute("output_shape")), call.attribute("auto_pad")
    if asked or how in ("SAME_UPPER", "SAME_LOWER"):
        asked = asked[-len(full) :] if asked else same
        if len(asked) != len(full) or any(not isinstance(v, int) or v < 0 for v in asked):
            raise call.refuse(f"output_shape must be {len(full)} numbers of at least 0, got {asked}")
        totals = [max(whole - wanted, 0) for whole, wanted in zip(full, asked, strict=True)]
        less, more = tuple(total // 2 for total in totals), tuple(total - total // 2 for total in totals)
        return (less, more, asked) if how == "SAME_UPPER" else (more, less, asked)
    begin, end = resolve_pads(call, full, full, (1,) * len(full))
    extents = tuple(whole - low - high for whole, low, high in zip(full, begin, end, strict=True))
    if any(extent < 0 for extent in extents):
        raise call.refuse(f"pads must leave something of the result {full}, got {begin + end}")
    return begin, end, extents


def _transpose_shapes(call: Call) -> list[Shape | None]:
    channels = call.shape(1)[1:2]
    extents = transpose_window(call).extents
    oc = channels[0] * call.attribute("group")
    check_bias(call, 2, oc)
    return [(call.shape(0)[0], oc, *extents)]


def _transpose_reference(attributes: Mapping[str, Any], x: Array, w: Array, bias: Array | None = None) -> list[Array]:
    found, group = transpose_window(call_of("conv_transpose", attributes, (x, w))), attributes["group"]
    n, c, og = x.shape[0], x.shape[1], w.shape[1]
    images = np.moveaxis(widened(x).reshape(n, group, c // group, *found.output), 0, 2)
    weights = widened(w).reshape(group, c // group, og, *found.kernel)
    total = np.zeros((group, og, n, *found.extents))
    for tap, out, into in found.taps() if images.size and weights.size else ():
        patch = images[out]
        part = np.matmul(np.swapaxes(weights[tap], 1, 2), patch.reshape(group, c // group, -1))
        total[into] += part.reshape(group, og, *patch.shape[2:])
    y = np.moveaxis(total.reshape(group * og, n, *found.extents), 0, 1)
    return [(y if bias is None else y + channelwise(widened(bias), x.ndim)).astype(x.dtype)]


define(
    OpDef(
        "conv_transpose",
        typed(_transpose_shapes, dtype_of(0, 1, 2, among=FLOATS)),
        _transpose_reference,
        {**WINDOW, "output_padding": (), "output_shape": ()},
        inputs=(2, 3),
        flops=lambda call: 2 * prod(call.shape(0)) * prod(call.shape(1)[1:]),
        candidates=(Candidate("view", "strided", when=is_planar),),  # several convolutions on views: plan/transposed.py
    )
)
