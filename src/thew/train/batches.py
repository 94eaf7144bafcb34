"""Where batches come from: arrays, anything that gives samples by number, or anything that yields batches.

The order of an epoch is a function of seed and epoch alone, so that training can go on in the middle of one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
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


class Shard:
    """Every so many-th of some samples: those that one of several processes evaluates."""

    def __init__(self, whole: Samples, rank: int, size: int) -> None:
        self.whole, self.numbers = whole, np.arange(rank, len(whole), size)

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, numbers: Array, epoch: int) -> Batch:
        """Those of these numbers within the shard."""
        return self.whole.take(self.numbers[numbers], epoch)


def shard_of(source: Samples | Iterable[Batch], rank: int, size: int) -> Samples | Iterable[Batch]:
    """What one of several processes evaluates."""
    if size == 1:
        return source
    return Shard(source, rank, size) if isinstance(source, Samples) else islice(source, rank, None, size)


@dataclass(frozen=True)
class Batches:
    """How the samples of an epoch become batches.

    Attributes:
        size: samples of a batch.
        seed: of the order of samples; None for the order that they have.
        drop_last: whether a last batch that is not full is left out.
        rank: of this process among those that train together. They agree on the order, and each reads its own part of
            what is a batch to them all; what is left in the end is dealt out evenly, to the last few samples.
        ranks: how many processes there are.
    """

    size: int
    seed: int | None = None
    drop_last: bool = False
    rank: int = 0
    ranks: int = 1

    def count(self, source: Samples | Iterable[Batch]) -> int | None:
        """Batches of an epoch; None where only reading tells."""
        if isinstance(source, Samples):
            whole, rest = divmod(len(source), self.size * self.ranks)
            return whole + (rest >= self.ranks and not self.drop_last)
        length = getattr(source, "__len__", None)
        return int(length()) // self.ranks if length is not None else None

    def of(self, source: Samples | Iterable[Batch], epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number `start` on. Of an iterable's, processes take turns."""
        if not isinstance(source, Samples):
            for turn in batched(islice(source, start * self.ranks, None), self.ranks):
                if len(turn) == self.ranks:
                    yield _pair(turn[self.rank])
            return
        order = np.arange(len(source)) if self.seed is None else permutation(len(source), self.seed, epoch)
        together = self.size * self.ranks
        stop = len(order) // together * together if self.drop_last else len(order)
        parts = (
            self._share(order[first : min(first + together, stop)]) for first in range(start * together, stop, together)
        )
        numbered = (numbers for numbers in parts if len(numbers))
        if not isinstance(source, Prefetched):
            yield from (source.take(numbers, epoch) for numbers in numbered)
            return
        under_way = deque(source.submit(numbers, epoch) for numbers in islice(numbered, AHEAD))
        for numbers in numbered:
            under_way.append(source.submit(numbers, epoch))
            yield under_way.popleft()()
        while under_way:
            yield under_way.popleft()()

    def _share(self, numbers: Array) -> Array:
        """This process's part of a batch that all have."""
        share = len(numbers) // self.ranks
        mine: Array = numbers[self.rank * share : (self.rank + 1) * share]
        return mine


def batched(items: Iterable[Batch], count: int) -> Iterator[list[Batch]]:
    """Lists of so many; the last may have fewer."""
    iterator = iter(items)
    while found := list(islice(iterator, count)):
        yield found


def _pair(batch: Any) -> Batch:
    """A batch that was yielded, of which nothing is known."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise InputError(
            f"data: an iterable must yield batches (x, y), got {type(batch).__name__}; two arrays are given as a tuple"
        )
    return batch[0], batch[1]


def permutation(count: int, seed: int, epoch: int) -> Array:
    """An order of samples, drawn by counter (Philox; Salmon et al. 2011) from seed and epoch."""
    key = (seed & (2**64 - 1)) | (epoch << 64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(count)
