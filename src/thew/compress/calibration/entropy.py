"""The range that loses least information: least Kullback-Leibler divergence of what was seen from what 256 levels make
of it (Migacz, "8-bit inference with TensorRT", 2017).
"""

from __future__ import annotations

import numpy as np

from thew.compress.calibration.histogram import LEVELS, Histogram
from thew.ir.graph import Array

_FIRST, _STRIDE = 2 * LEVELS, 16  # the narrowest range tried, in bins, and from one to the next


def entropy(histogram: Histogram) -> tuple[float, float]:
    """The range of least divergence among ranges cut symmetrically to whole bins."""
    counts = _without_zeros(histogram)
    width = (histogram.high - histogram.low) / len(counts)
    if width <= 0 or not counts.any():
        return histogram.low, histogram.high
    best, chosen = np.inf, (histogram.low, histogram.high)
    for size in range(_FIRST, len(counts) + 1, _STRIDE):
        low, high = histogram.shrunk(size / len(counts))
        first, last = int(np.rint((low - histogram.low) / width)), int(np.rint((high - histogram.low) / width))
        found = _divergence(counts, first, last) if last - first >= LEVELS else np.inf
        if found < best:
            best, chosen = found, (low, high)
    return chosen


def _without_zeros(histogram: Histogram) -> Array:
    """The counts, that of 0's bin as its neighbour's: every range holds zeros as they are, and relu makes many."""
    counts = histogram.counts.astype(np.float64)
    if histogram.high > histogram.low:
        share = -histogram.low / (histogram.high - histogram.low)
        place = min(int(share * len(counts)), len(counts) - 1)
        counts[place] = counts[place + 1 if place + 1 < len(counts) else place - 1]
    return counts


def _divergence(counts: Array, first: int, last: int) -> float:
    """Of the counts, with what is cut off heaped on the ends, from the same spread evenly over each level's bins."""
    inside = counts[first:last]
    seen = inside.copy()
    seen[0] += counts[:first].sum()
    seen[-1] += counts[last:].sum()
    level = np.arange(last - first) * LEVELS // (last - first)
    occupied = inside > 0
    total = np.bincount(level, inside, LEVELS)
    places = np.bincount(level, occupied, LEVELS)
    spread = np.where(occupied, total[level] / np.maximum(places[level], 1), 0.0)
    p, q = seen / seen.sum(), spread / max(spread.sum(), 1.0)
    where = p > 0
    return float(np.sum(p[where] * np.log(p[where] / np.maximum(q[where], 1e-12))))
