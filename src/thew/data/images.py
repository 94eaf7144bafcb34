"""`Images`: pictures of 8 bits in memory, given out as normalised floats, augmented on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from thew.data.augment import Augmentation, draw
from thew.errors import InputError
from thew.ir.graph import Array


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
    def _line(self) -> tuple[Array, Array]:
        """Factor and shift of each channel."""
        mean, deviation = (np.asarray(value, np.float64).reshape(1, -1, 1, 1) for value in (self.mean, self.deviation))
        return (1 / (255 * deviation)).astype(np.float32), (-mean / deviation).astype(np.float32)

    def apply(self, pictures: Array, numbers: Array, epoch: int) -> Array:
        """The pictures (n, c, h, w) with these numbers, as fp32."""
        for stream, augmentation in enumerate(self.augment):
            pictures = augmentation(pictures, draw(numbers, epoch, self.seed, stream))
        factor, shift = self._line
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

    Raises:
        InputError: the arrays are others.
    """

    def __init__(
        self, pictures: Array, labels: Array, preparation: Preparation | None = None, classes: Sequence[str] = ()
    ) -> None:
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or len(labels) != len(pictures):
            got = f"{pictures.dtype} of shape {pictures.shape} and {len(labels)} labels"
            raise InputError(f"Images: pictures must be uint8 (n, c, h, w) with as many labels, got {got}")
        self.pictures, self.labels = pictures, np.asarray(labels, np.int64)
        self.preparation, self.classes = preparation or Preparation(), tuple(classes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one picture."""
        return self.pictures.shape[1:]

    def __len__(self) -> int:
        return len(self.pictures)

    def take(self, numbers: Array, epoch: int) -> tuple[Array, Array]:
        """Those pictures, prepared, and their labels."""
        return self.preparation.apply(self.pictures[numbers], numbers, epoch), self.labels[numbers]

    def head(self, count: int) -> Images:
        """The first pictures."""
        return Images(self.pictures[:count], self.labels[:count], self.preparation, self.classes)
