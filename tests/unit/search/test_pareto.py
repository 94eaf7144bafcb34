"""Fronts and volumes against their definitions."""

import numpy as np
import pytest

from thew.search.accuracy import Accuracy, Data, keeps_accuracy
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


def test_interval_holds_the_share():
    low, high = Accuracy(80, 100).interval
    assert 0.70 < low < 0.8 < high < 0.88
    assert Accuracy(0, 0).interval == (0.0, 1.0)


@pytest.mark.parametrize(("wrong", "kept"), [(0, True), (5, True), (30, False)])
def test_accuracy_beside_the_reference(wrong, kept):
    x, y = np.zeros((200, 3), np.float32), np.zeros(200, np.int64)
    answers = iter(range(200))

    def run(batch):
        return np.stack([[0.0, 1.0] if next(answers) < wrong else [1.0, 0.0] for _ in batch])

    result, counted = keeps_accuracy(run, Data(x, y), 10, np.ones(200, bool), 0.03)
    assert result == kept
    assert counted.asked == (200 if kept else counted.asked) and (kept or counted.asked < 200)
