"""The range whose quantisation is closest to what was seen, in the mean of squares."""

from __future__ import annotations

import numpy as np

from thew.compress.calibration.histogram import LEVELS, Histogram

SHARES = np.linspace(0.05, 1.0, 96)


def mse(histogram: Histogram) -> tuple[float, float]:
    """The range of least squared error among ranges cut to shares of the farther end."""
    centres, weights = histogram.centres, histogram.counts.astype(np.float64)
    ranges = [histogram.shrunk(float(share)) for share in SHARES]
    errors = []
    for low, high in ranges:
        step = (high - low) / (LEVELS - 1) or 1.0
        zero = np.rint(-low / step)
        rounded = (np.clip(np.rint(centres / step) + zero, 0, LEVELS - 1) - zero) * step
        errors.append(float(weights @ (rounded - centres) ** 2))
    return ranges[int(np.argmin(errors))]
