"""`Images`: pictures of 8 bits in memory, given out as normalised floats, augmented on the way.

Native threads make the batches to come ready while a step computes. A batch is the same whoever makes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from thew.data.augment import Augmentation, draw, native_form
from thew.errors import InputError
from thew.ir.graph import Array
from thew.runtime.native import make_feed


@dataclass(frozen=True)
class Preparation:
    """What is done to pictures of 8 bits on their way out: augmentation, and (p / 255 − mean) / deviation.

    Attributes:
        mean: of each channel, of values within [0, 1].
        deviation: of each channel.
        augment: what is done to the pictures before, in order; see `thew.data.augment`.
        seed: of augmentation.
    """

    mean: tuple[float, ...] = (0.5,)
    deviation: tuple[float, ...] = (0.5,)
    augment: tuple[Augmentation, ...] = ()
    seed: int = 0

    @cached_property
    def line(self) -> tuple[Array, Array]:
        """Factor and shift of each channel."""
        mean, deviation = (np.asarray(value, np.float64) for value in (self.mean, self.deviation))
        return (1 / (255 * deviation)).astype(np.float32), (-mean / deviation).astype(np.float32)

    def apply(self, pictures: Array, numbers: Array, epoch: int) -> Array:
        """The pictures (n, c, h, w) with these numbers, as fp32."""
        for stream, augmentation in enumerate(self.augment):
            pictures = augmentation(pictures, draw(numbers, epoch, self.seed, stream))
        factor, shift = (numbers_of_channels.reshape(-1, 1, 1) for numbers_of_channels in self.line)
        prepared: Array = pictures * factor
        prepared += shift
        return prepared


class Images:
    """Samples by number, as `Trainer.fit` takes them.

    Args:
        pictures: uint8, (n, c, h, w).
        labels: integers, (n).
        preparation: normalisation and augmentation.
        classes: names of the classes.
        threads: that make batches ready ahead; 0 makes each when it is needed.

    Raises:
        InputError: the arrays are others.
    """

    def __init__(
        self,
        pictures: Array,
        labels: Array,
        preparation: Preparation | None = None,
        classes: Sequence[str] = (),
        threads: int = 1,
    ) -> None:
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or len(labels) != len(pictures):
            got = f"{pictures.dtype} of shape {pictures.shape} and {len(labels)} labels"
            raise InputError(f"Images: pictures must be uint8 (n, c, h, w) with as many labels, got {got}")
        self.pictures, self.labels = np.ascontiguousarray(pictures), np.asarray(labels, np.int64)
        self.preparation, self.classes, self.threads = preparation or Preparation(), tuple(classes), threads
        channels, line = self.shape[0], self.preparation.line
        if any(len(numbers) not in (1, channels) for numbers in line):
            got = f"{self.preparation.mean} and {self.preparation.deviation}"
            raise InputError(f"Images: mean and deviation must have a number a channel, {channels}, got {got}")
        self._feed: tuple[Any, ...] = ()  # with the process, the preparation and the threads that it is of

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one picture."""
        return self.pictures.shape[1:]

    def __len__(self) -> int:
        return len(self.pictures)

    def take(self, numbers: Array, epoch: int) -> tuple[Array, Array]:
        """Those pictures, prepared, and their labels."""
        return self.submit(numbers, epoch)()

    def submit(self, numbers: Array, epoch: int) -> Callable[[], tuple[Array, Array]]:
        """Begins to prepare those pictures; the result waits for them, and gives them with their labels."""
        form = native_form(self.preparation.augment)
        if form is None:
            return partial(self._apply, numbers, epoch)
        prepared = np.empty((len(numbers), *self.shape), np.float32)
        pending = self._native(form).submit(np.asarray(numbers).tolist(), epoch & 0xFFFFFFFF, prepared)

        def wait() -> tuple[Array, Array]:
            pending.wait()
            return prepared, self.labels[numbers]

        return wait

    def _apply(self, numbers: Array, epoch: int) -> tuple[Array, Array]:
        return self.preparation.apply(self.pictures[numbers], numbers, epoch), self.labels[numbers]

    def _native(self, form: list[tuple[str, int]]) -> Any:
        """The feed, made anew where it would be another, and in the child of a fork, which has no threads of it."""
        key = (os.getpid(), self.preparation, self.threads)
        if self._feed[1:] != key:
            factor, shift = (np.broadcast_to(numbers, self.shape[:1]).tolist() for numbers in self.preparation.line)
            seed = self.preparation.seed & (2**64 - 1)
            self._feed = (make_feed(self.pictures, factor, shift, form, seed, self.threads), *key)
        return self._feed[0]

    def head(self, count: int) -> Images:
        """The first pictures."""
        return Images(self.pictures[:count], self.labels[:count], self.preparation, self.classes, self.threads)
