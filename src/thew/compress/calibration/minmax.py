"""The range is all that was seen: nothing saturates, outliers widen the steps."""

from __future__ import annotations

from thew.compress.calibration.histogram import Histogram


def minmax(histogram: Histogram) -> tuple[float, float]:
    """The ends of the histogram."""
    return histogram.low, histogram.high
