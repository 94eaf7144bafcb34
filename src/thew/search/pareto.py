"""Points that nothing is better than in every respect, and the volume that they dominate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def non_dominated(points: Sequence[Sequence[float]]) -> list[int]:
    """Indices of the points for which no other is as good in all respects and better in one; less is better.

    Of equal points the first.
    """
    values = np.asarray(points, dtype=np.float64)
    kept = []
    for index, point in enumerate(values):
        no_worse = (values <= point).all(axis=1)
        better = no_worse & (values < point).any(axis=1)
        equal_before = (values[:index] == point).all(axis=1).any()
        if not better.any() and not equal_before:
            kept.append(index)
    return kept


def hypervolume(points: Sequence[tuple[float, float]], reference: tuple[float, float]) -> float:
    """The area between points of two respects and a reference point that is worse than all of them."""
    area, ceiling = 0.0, reference[1]
    for first, second in sorted(points):
        if first < reference[0] and second < ceiling:
            area += (reference[0] - first) * (ceiling - second)
            ceiling = second
    return area
