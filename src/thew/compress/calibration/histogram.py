"""What a value was seen to be: how many of its elements fell into each of equal bins between its extremes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from thew.ir.graph import Array

BINS = 2048
LEVELS = 256  # that 8 bits tell apart


@dataclass
class Histogram:
    """Counts between two ends, which hold all that was seen and 0.

    Attributes:
        low: the lower end, at most 0.
        high: the upper end, at least 0.
        counts: elements a bin.
    """

    low: float
    high: float
    counts: Array = field(default_factory=lambda: np.zeros(BINS, np.int64))

    @property
    def edges(self) -> Array:
        """Where bins begin, and where the last ends."""
        return np.linspace(self.low, self.high, len(self.counts) + 1)

    @property
    def centres(self) -> Array:
        """The middle of each bin."""
        edges = self.edges
        return np.asarray((edges[:-1] + edges[1:]) / 2)

    def add(self, x: Array) -> None:
        """Counts elements, those beyond the ends in the outermost bins; what is not finite is left out."""
        if self.high <= self.low:
            return
        scale = np.float32(len(self.counts) / (self.high - self.low))
        flat = x.reshape(-1)
        place = (flat[np.isfinite(flat)] - np.float32(self.low)) * scale
        bins = np.clip(place, 0, len(self.counts) - 1).astype(np.int32)
        self.counts += np.bincount(bins, minlength=len(self.counts))

    def shrunk(self, share: float) -> tuple[float, float]:
        """Both ends, cut to a share of the one that is farther from 0."""
        bound = share * max(-self.low, self.high)
        return max(self.low, -bound), min(self.high, bound)
