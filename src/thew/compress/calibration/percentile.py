"""The range leaves out the farthest elements at each end: a share of 1e-4 in all."""

from __future__ import annotations

import numpy as np

from thew.compress.calibration.histogram import Histogram

OUTSIDE = 1e-4


def percentile(histogram: Histogram) -> tuple[float, float]:
    """The ends between which all but `OUTSIDE` of the elements lie, half of them at each end; 0 stays inside."""
    total = histogram.counts.sum()
    if not total:
        return histogram.low, histogram.high
    edges = histogram.edges
    below = np.concatenate([[0], np.cumsum(histogram.counts)]) / total
    low = edges[np.flatnonzero(below <= OUTSIDE / 2)[-1]]
    high = edges[np.flatnonzero(below >= 1 - OUTSIDE / 2)[0]]
    return min(float(low), 0.0), max(float(high), 0.0)
