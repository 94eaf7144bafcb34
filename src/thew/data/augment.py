"""Augmentation of batches of pictures (n, c, h, w): flips, shifted crops, cut-out squares.

Each takes words of 32 random bits, four a picture, which are drawn by counter: what happens to a picture is a function
of seed, epoch and the picture's number, whatever batch it comes in. What is written here in NumPy is the definition;
`native/data` does the same to those that `native_form` knows, and any other function of this form runs as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from thew.errors import InputError
from thew.ir.graph import Array
from thew.ops.draw import philox

MOST_PIXELS = 1 << 20
Augmentation = Callable[[Array, Array], Array]  # pictures, words (n, 4)


def draw(numbers: Array, epoch: int, seed: int, stream: int) -> Array:
    """Four words of 32 bits for each picture, as uint64."""
    counts = numbers.astype(np.uint64)
    low = np.uint64(0xFFFFFFFF)
    of_epoch, of_stream = (np.full(counts.shape, value & 0xFFFFFFFF, np.uint64) for value in (epoch, stream))
    counter = (counts & low, counts >> np.uint64(32), of_epoch, of_stream)
    return np.stack(philox(counter, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)), axis=1)


@dataclass(frozen=True)
class Flip:
    """See `flip`."""

    def __call__(self, pictures: Array, words: Array) -> Array:
        """The pictures, some of them mirrored."""
        is_turned = (words[:, 0] & np.uint64(1)).astype(bool)
        turned = pictures.copy()
        turned[is_turned] = turned[is_turned, ..., ::-1]
        return turned


@dataclass(frozen=True)
class RandomCrop:
    """See `random_crop`."""

    padding: int

    def __post_init__(self) -> None:
        _check_extent("random_crop: padding", self.padding)

    def __call__(self, pictures: Array, words: Array) -> Array:
        """The pictures, shifted."""
        padding, (h, w) = self.padding, pictures.shape[2:]
        padded = np.pad(pictures, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (h, w), axis=(2, 3))
        down, right = ((words[:, i] % np.uint64(2 * padding + 1)).astype(np.int64) for i in (0, 1))
        return np.ascontiguousarray(windows[np.arange(len(pictures)), :, down, right])


@dataclass(frozen=True)
class Cutout:
    """See `cutout`."""

    size: int

    def __post_init__(self) -> None:
        _check_extent("cutout: size", self.size)

    def __call__(self, pictures: Array, words: Array) -> Array:
        """The pictures, each with a black square."""
        h, w = pictures.shape[2:]
        row, column = ((words[:, i] % np.uint64(extent)).astype(np.int64) for i, extent in ((0, h), (1, w)))
        rows = np.abs(np.arange(h) - row[:, None]) * 2 < self.size
        columns = np.abs(np.arange(w) - column[:, None]) * 2 < self.size
        is_out = rows[:, None, :, None] & columns[:, None, None, :]
        return np.where(is_out, np.zeros((), pictures.dtype), pictures)


def flip() -> Flip:
    """Mirrors every other picture from left to right, at random."""
    return Flip()


def random_crop(padding: int) -> RandomCrop:
    """Shifts every picture by up to `padding` pixels each way; what comes in is black."""
    return RandomCrop(padding)


def cutout(size: int) -> Cutout:
    """Blacks out a square whose middle is anywhere in the picture (DeVries and Taylor 2017)."""
    return Cutout(size)


def native_form(augmentations: Sequence[Augmentation]) -> list[tuple[str, int]] | None:
    """Names and extents by which native code knows them; None where it does not know one of them."""
    form = []
    for augmentation in augmentations:
        match augmentation:
            case Flip():
                form.append(("flip", 0))
            case RandomCrop(padding):
                form.append(("crop", padding))
            case Cutout(size):
                form.append(("cutout", size))
            case _:
                return None
    return form


def _check_extent(what: str, extent: int) -> None:
    if not isinstance(extent, int) or not 0 <= extent <= MOST_PIXELS:
        raise InputError(f"{what} must be 0 to {MOST_PIXELS} pixels, got {extent!r}")
