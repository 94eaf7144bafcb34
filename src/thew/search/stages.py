"""How long the stages of a search took, by the wall."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter

from thew.compress.observe import Progress


class Stages:
    """Progress that is passed on, and whose stages are timed: one lasts until another is told of."""

    def __init__(self, progress: Progress, first: str) -> None:
        self._progress, self._stage, self._since = progress, first, perf_counter()
        self._seconds: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Passes progress on."""
        if what != self._stage:
            self._end()
            self._stage = what
        self._progress(what, done, total)

    def seconds(self) -> Mapping[str, float]:
        """Of each stage until now, in the order in which they began."""
        self._end()
        return dict(self._seconds)

    def _end(self) -> None:
        now = perf_counter()
        self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + now - self._since
        self._since = now
