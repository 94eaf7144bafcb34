"""What a model may ask for, checked before anything is allocated: counts, depths and bytes."""

from __future__ import annotations

from thew.errors import MemoryLimitError, ModelError

MAX_NODES = 200_000  # after functions are expanded, which can grow exponentially
MAX_DEPTH = 64  # of functions that call functions, and of subgraphs in subgraphs
MAX_RANK = 32
MAX_EXTENT = 2**48
MAX_ELEMENTS = 2**48
MAX_FILE_BYTES = 2**31 - 1  # what a protobuf message can hold
DEFAULT_MEMORY_LIMIT_BYTES = 16 * 2**30  # for constants, which may name large external files


class Budget:
    """Counts the bytes and the nodes that a model takes, and refuses what goes over."""

    def __init__(self, memory_limit_bytes: int | None) -> None:
        self._limit_bytes = DEFAULT_MEMORY_LIMIT_BYTES if memory_limit_bytes is None else memory_limit_bytes
        self._taken_bytes = 0
        self._nodes = 0

    def take_bytes(self, count: int, where: str) -> None:
        """Books memory for a constant."""
        self._taken_bytes += count
        if self._taken_bytes > self._limit_bytes:
            raise MemoryLimitError(
                f"{where}: constants must fit the memory limit of {self._limit_bytes} bytes, got {self._taken_bytes}; "
                "raise memory_limit_bytes"
            )

    def take_node(self, where: str) -> None:
        """Books one node."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ModelError(f"{where}: a model must have at most {MAX_NODES} nodes once its functions are expanded")


def check_depth(depth: int, where: str) -> None:
    """Refuses nesting that is too deep."""
    if depth > MAX_DEPTH:
        raise ModelError(f"{where}: functions and subgraphs must nest at most {MAX_DEPTH} deep")


def count_elements(shape: tuple[int, ...], where: str) -> int:
    """The number of elements of a shape that is fit to be allocated."""
    if len(shape) > MAX_RANK:
        raise ModelError(f"{where}: rank must be at most {MAX_RANK}, got {len(shape)}")
    count, span = 1, 1
    for extent in shape:
        if not 0 <= extent <= MAX_EXTENT:
            raise ModelError(f"{where}: extents must lie in [0, 2^48], got {extent} in {shape}")
        count *= extent
        span *= max(extent, 1)
        if span > MAX_ELEMENTS:
            raise ModelError(f"{where}: a tensor must have at most 2^48 elements, got shape {shape}")
    return count
