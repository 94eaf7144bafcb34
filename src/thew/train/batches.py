"""Where batches come from: arrays, anything that gives samples by number, or anything that yields batches.

The order of an epoch is a function of seed and epoch alone, so that training can go on in the middle of one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import numpy as np

from thew.errors import InputError
from thew.ir.graph import Array

Batch = tuple[Any, Any]
AHEAD = 2  # batches that are being made ready while a step runs


@runtime_checkable
class Samples(Protocol):
    """Samples by number; `thew.data` has them for data sets."""

    def __len__(self) -> int:
        """How many there are."""

    def take(self, numbers: Array, epoch: int) -> Batch:
        """The samples of these numbers with their targets; what is drawn for them is a function of number and epoch."""


@runtime_checkable
class Prefetched(Samples, Protocol):
    """Samples that are made ready in the background."""

    def submit(self, numbers: Array, epoch: int) -> Callable[[], Batch]:
        """Begins with the samples of these numbers; the result waits for them, and gives what `take` would."""


class Arrays:
    """Samples and targets in two arrays of one length."""

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = np.asarray(x), np.asarray(y)
        if self.x.ndim == 0 or self.y.ndim == 0 or len(self.x) != len(self.y):
            raise InputError(f"data: samples and targets must be as many, got {self.x.shape} and {self.y.shape}")

    def __len__(self) -> int:
        return len(self.x)

    def take(self, numbers: Array, epoch: int) -> Batch:
        """Those rows."""
        return self.x[numbers], self.y[numbers]


def source_of(data: Any) -> Samples | Iterable[Batch]:
    """What batches are taken from. Raises InputError where it is nothing of the kind."""
    if isinstance(data, tuple) and len(data) == 2:
        return Arrays(*data)
    if isinstance(data, Samples | Iterable):
        return data
    raise InputError(f"data: must be (x, y), samples by number, or an iterable of batches, got {type(data).__name__}")


def count_batches(source: Samples | Iterable[Batch], batch_size: int, drop_last: bool) -> int | None:
    """Batches of an epoch; None where only reading tells."""
    if isinstance(source, Samples):
        return len(source) // batch_size if drop_last else -(-len(source) // batch_size)
    length = getattr(source, "__len__", None)
    return int(length()) if length is not None else None


def epoch_batches(
    source: Samples | Iterable[Batch], batch_size: int, epoch: int, seed: int | None, drop_last: bool, start: int = 0
) -> Iterator[Batch]:
    """The batches of an epoch from number `start` on; in order where `seed` is None."""
    if not isinstance(source, Samples):
        yield from islice(source, start, None)
        return
    order = np.arange(len(source)) if seed is None else permutation(len(source), seed, epoch)
    stop = len(order) // batch_size * batch_size if drop_last else len(order)
    parts = (order[first : min(first + batch_size, stop)] for first in range(start * batch_size, stop, batch_size))
    if not isinstance(source, Prefetched):
        yield from (source.take(numbers, epoch) for numbers in parts)
        return
    under_way = deque(source.submit(numbers, epoch) for numbers in islice(parts, AHEAD))
    for numbers in parts:
        under_way.append(source.submit(numbers, epoch))
        yield under_way.popleft()()
    while under_way:
        yield under_way.popleft()()


def permutation(count: int, seed: int, epoch: int) -> Array:
    """An order of samples, drawn by counter (Philox; Salmon et al. 2011) from seed and epoch."""
    key = (seed & (2**64 - 1)) | (epoch << 64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(count)
