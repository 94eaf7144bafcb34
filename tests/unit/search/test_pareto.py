"""Fronts and volumes against their definitions."""

import numpy as np

from thew.search.pareto import hypervolume, non_dominated


def test_front_by_definition():
    points = np.random.default_rng(0).integers(0, 6, (40, 3)).tolist()
    kept = non_dominated(points)
    for index, point in enumerate(points):
        beaten = any(all(a <= b for a, b in zip(o, point, strict=True)) and o != point for o in points)
        assert (index in kept) == (not beaten and points.index(point) == index)


def test_volume_by_counting_cells():
    random = np.random.default_rng(1)
    points = [tuple(map(float, point)) for point in random.integers(0, 12, (6, 2))]
    cells = sum(any(p[0] <= x and p[1] <= y for p in points) for x in range(10) for y in range(10))
    assert hypervolume(points, (10.0, 10.0)) == cells
