"""Augmentation of batches of pictures (n, c, h, w): flips, shifted crops, cut-out squares.

Each takes words of 32 random bits, four a picture, which are drawn by counter: what happens to a picture is a function
of seed, epoch and the picture's number, whatever batch it comes in.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from thew.ir.graph import Array
from thew.ops.draw import philox

Augmentation = Callable[[Array, Array], Array]  # pictures, words (n, 4)


def draw(numbers: Array, epoch: int, seed: int, stream: int) -> Array:
    """Four words of 32 bits for each picture, as uint64."""
    counts = numbers.astype(np.uint64)
    low = np.uint64(0xFFFFFFFF)
    of_epoch, of_stream = (np.full(counts.shape, value & 0xFFFFFFFF, np.uint64) for value in (epoch, stream))
    counter = (counts & low, counts >> np.uint64(32), of_epoch, of_stream)
    return np.stack(philox(counter, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)), axis=1)


def flip() -> Augmentation:
    """Mirrors every other picture from left to right, at random."""

    def apply(pictures: Array, words: Array) -> Array:
        is_turned = (words[:, 0] & np.uint64(1)).astype(bool)
        turned = pictures.copy()
        turned[is_turned] = turned[is_turned, ..., ::-1]
        return turned

    return apply


def random_crop(padding: int) -> Augmentation:
    """Shifts every picture by up to `padding` pixels each way; what comes in is black."""

    def apply(pictures: Array, words: Array) -> Array:
        h, w = pictures.shape[2:]
        padded = np.pad(pictures, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (h, w), axis=(2, 3))
        down, right = ((words[:, i] % np.uint64(2 * padding + 1)).astype(np.int64) for i in (0, 1))
        return np.ascontiguousarray(windows[np.arange(len(pictures)), :, down, right])

    return apply


def cutout(size: int) -> Augmentation:
    """Blacks out a square whose middle is anywhere in the picture (DeVries and Taylor 2017)."""

    def apply(pictures: Array, words: Array) -> Array:
        h, w = pictures.shape[2:]
        row, column = ((words[:, i] % np.uint64(extent)).astype(np.int64) for i, extent in ((0, h), (1, w)))
        rows = np.abs(np.arange(h) - row[:, None]) * 2 < size
        columns = np.abs(np.arange(w) - column[:, None]) * 2 < size
        is_out = rows[:, None, :, None] & columns[:, None, None, :]
        return np.where(is_out, np.zeros((), pictures.dtype), pictures)

    return apply
