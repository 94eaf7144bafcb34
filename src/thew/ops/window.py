"""Sliding windows: the geometry that convolutions and pools share, resolved once (`auto_pad`, ceil_mode, defaults).

Invariant: a `Window` is valid (counts, ranges), and walking its taps never stores a padded copy, so that hostile pads
or dilations cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from thew.ir.graph import Array
from thew.ops.opdef import Call
from thew.ops.rules import Shape

Index = tuple[Any, ...]

MAX_EXTENT = 1 << 40  # of one attribute: keeps every product below within 64 bits for native code


@dataclass(frozen=True)
class Window:
    """Windows over `extents`: output o reads input o·stride − begin + k·dilation, k in the kernel, where it exists."""

    extents: Shape
    kernel: Shape
    strides: Shape
    dilations: Shape
    begin: Shape
    end: Shape
    output: Shape

    @property
    def pads(self) -> Shape:
        """As ONNX lists them: all begins, then all ends."""
        return self.begin + self.end

    def taps(self) -> Iterator[tuple[Index, Index, Index]]:
        """Each place in the kernel, the outputs it reaches, and the inputs that they read: indices of the last axes."""
        reached = [
            [(k, *place) for k in self._candidates(axis) if (place := self._reach(axis, k))]
            for axis in range(len(self.kernel))
        ]
        for places in product(*reached):
            yield tuple((..., *column) for column in zip(*places, strict=True))  # type: ignore[misc]

    def _candidates(self, axis: int) -> Sequence[int]:
        """The places along a kernel's axis that may reach the input; few even where the kernel is absurdly large."""
        if self.kernel[axis] <= 64:
            return range(self.kernel[axis])
        found: set[int] = set()
        for start in range(
            -self.begin[axis], self.output[axis] * self.strides[axis] - self.begin[axis], self.strides[axis]
        ):
            first = max(0, -(start // self.dilations[axis]))
            last = min(self.kernel[axis] - 1, (self.extents[axis] - 1 - start) // self.dilations[axis])
            found.update(range(first, last + 1))
        return sorted(found)

    def _reach(self, axis: int, k: int) -> tuple[slice, slice] | None:
        stride, shift = self.strides[axis], k * self.dilations[axis] - self.begin[axis]
        low = max(0, -(shift // stride))
        high = min(self.output[axis], (self.extents[axis] - 1 - shift) // stride + 1)
        if low >= high:
            return None
        first = low * stride + shift
        return slice(low, high), slice(first, first + (high - low - 1) * stride + 1, stride)

    def counts(self, with_pads: bool) -> Array:
        """How many places each window covers: of the input, or of the input with its pads."""
        total: Array = np.ones((1,) * len(self.output), np.float64)
        for axis, extent in enumerate(self.extents):
            starts = np.arange(self.output[axis], dtype=np.float64) * self.strides[axis] - self.begin[axis]
            low, high = (-self.begin[axis], extent + self.end[axis]) if with_pads else (0, extent)
            step = self.dilations[axis]
            first = np.maximum(0, np.ceil((low - starts) / step))
            last = np.minimum(self.kernel[axis], np.ceil((high - starts) / step))
            shape = [-1 if other == axis else 1 for other in range(len(self.output))]
            total = total * np.maximum(last - first, 0).reshape(shape)
        return total


def window_of(call: Call, extents: Shape, kernel: Shape) -> Window:
    """The windows over spatial extents that a node's strides, dilations, pads, auto_pad and ceil_mode describe."""
    strides = _spatial(call, "strides", extents, 1)
    dilations = _spatial(call, "dilations", extents, 1)
    if len(kernel) != len(extents) or any(not 1 <= k <= MAX_EXTENT for k in kernel):
        raise call.refuse(f"kernel must have {len(extents)} extents of at least 1, got {kernel}")
    spans = tuple((k - 1) * dilation + 1 for k, dilation in zip(kernel, dilations, strict=True))
    begin, end = resolve_pads(call, extents, spans, strides)
    has_ceil = "ceil_mode" in call.node.attributes and bool(call.node.attributes["ceil_mode"])
    output = []
    for n, span, stride, low, high in zip(extents, spans, strides, begin, end, strict=True):
        slack = n + low + high - span
        if slack < 0:
            raise call.refuse(
                f"window must fit the padded input, got a span of {spans} over {extents} with pads {begin + end}"
            )
        windows = -(-slack // stride) + 1 if has_ceil else slack // stride + 1
        output.append(windows - 1 if has_ceil and (windows - 1) * stride >= n + low else windows)
    return Window(extents, kernel, strides, dilations, begin, end, tuple(output))


def resolve_pads(call: Call, extents: Shape, spans: Shape, strides: Shape) -> tuple[Shape, Shape]:
    """Pads before and after, from `pads` or `auto_pad`; `spans` are the dilated kernel's extents."""
    how = call.attribute("auto_pad")
    rank = len(extents)
    if how not in ("", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise call.refuse(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, got {how!r}")
    if how == "VALID":
        return (0,) * rank, (0,) * rank
    if how in ("", "NOTSET"):
        pads = tuple(call.attribute("pads")) or (0,) * (2 * rank)
        if len(pads) != 2 * rank or any(not isinstance(pad, int) or not 0 <= pad <= MAX_EXTENT for pad in pads):
            raise call.refuse(f"pads must be {2 * rank} numbers of at least 0, got {pads}")
        return pads[:rank], pads[rank:]
    totals = [max((-(-n // s) - 1) * s + span - n, 0) for n, span, s in zip(extents, spans, strides, strict=True)]
    less, more = tuple(total // 2 for total in totals), tuple(total - total // 2 for total in totals)
    return (less, more) if how == "SAME_UPPER" else (more, less)


def _spatial(call: Call, name: str, extents: Shape, least: int) -> Shape:
    values = tuple(call.attribute(name)) or (1,) * len(extents)
    if len(values) != len(extents) or any(not isinstance(v, int) or not least <= v <= MAX_EXTENT for v in values):
        raise call.refuse(f"{name} must be {len(extents)} numbers of at least {least}, got {values}")
    return values
