"""Memory of a large constant: pages of its own, which can go back to the system before the arrays over them do."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from thew.ir.graph import Array

LEAST_BYTES = 1 << 16  # of an array that is worth pages of its own


class Pages(mmap.mmap):
    """Anonymous pages of this process alone."""

    def __new__(cls, length: int) -> Pages:
        """So many bytes, zeros at first."""
        return super().__new__(cls, -1, length, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def give_up(self) -> None:
        """Returns the pages to the system: nobody may care for what they held."""
        self.madvise(mmap.MADV_DONTNEED)


def empty_constant(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Memory of a constant in the making, in pages if it is large."""
    size = prod(shape) * dtype.itemsize
    if size < LEAST_BYTES or dtype.hasobject:
        return np.empty(shape, dtype)
    return np.frombuffer(Pages(size), dtype).reshape(shape)


def pages_of(array: Array) -> Pages | None:
    """The pages that an array lies in; None where its memory is of another kind."""
    owner: Any = array
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    return owner if isinstance(owner, Pages) else None
