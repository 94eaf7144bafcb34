"""Where the elements of a tensor lie: strides of the layouts that kernels take, by the layout's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

from thew.dtypes import size_bytes


def plain_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of C order."""
    strides, span = [], 1
    for extent in reversed(shape):
        strides.append(span)
        span *= max(extent, 1)
    return tuple(reversed(strides))


def channels_last_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides with the channels (axis 1) innermost."""
    order = (0, *range(2, len(shape)), 1)
    inner = plain_strides(tuple(shape[axis] for axis in order))
    return tuple(inner[order.index(axis)] for axis in range(len(shape)))


def batch_innermost_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides with the batch (axis 0) innermost."""
    inner = plain_strides((*shape[1:], *shape[:1]))
    return (*inner[-1:], *inner[:-1])


def same_layout(shape: tuple[int, ...], left: tuple[int, ...], right: tuple[int, ...]) -> bool:
    """Whether two sets of strides address the same; the stride of an axis of extent 1 is never used."""
    return all(extent == 1 or a == b for extent, a, b in zip(shape, left, right, strict=True))


def is_plain(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether the strides are those of C order."""
    return 0 in shape or same_layout(shape, strides, plain_strides(shape))


def is_channels_last(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether channels lie side by side, as image kernels want them; pixels may be apart (a slice of a concat)."""
    if len(shape) < 3 or 0 in shape:
        return True
    order = [axis for axis in (0, *range(2, len(shape)), 1) if shape[axis] != 1]
    return (shape[1] == 1 or strides[1] == 1) and all(
        strides[outer] >= strides[inner] * shape[inner] for outer, inner in pairwise(order)
    )


def is_batch_innermost(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether images lie side by side, element by element."""
    return len(shape) < 3 or 0 in shape or same_layout(shape, strides, batch_innermost_strides(shape))


LAYOUTS: Mapping[str, Callable[[tuple[int, ...]], tuple[int, ...]]] = {  # strides of dense images
    "plain": plain_strides,
    "channels_last": channels_last_strides,
    "batch_innermost": batch_innermost_strides,
}
FITS: Mapping[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    "plain": is_plain,
    "channels_last": is_channels_last,
    "batch_innermost": is_batch_innermost,
}


def dense_strides(layout: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a dense tensor in one of the LAYOUTS; what is no image is in C order."""
    return LAYOUTS[layout](shape) if len(shape) > 2 else plain_strides(shape)


def layout_name(shape: tuple[int, ...], strides: tuple[int, ...]) -> str:
    """For people: nothing for C order, "nhwc" for channels last, "chwn" for the batch innermost, else the strides."""
    if is_plain(shape, strides):
        return ""
    if len(shape) == 4 and is_channels_last(shape, strides):
        return "nhwc"
    if len(shape) == 4 and is_batch_innermost(shape, strides):
        return "chwn"
    return f"({','.join(map(str, strides))})"


def span_bytes(dtype: str, shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Bytes of the elements of a view, a broadcast axis counted once."""
    count = 1
    for extent, stride in zip(shape, strides, strict=True):
        count *= extent if stride != 0 else min(extent, 1)
    return count * size_bytes(dtype)
