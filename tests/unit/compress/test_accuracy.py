"""What is known of an accuracy, and when a candidate is given up."""

import numpy as np
import pytest

from thew.compress.accuracy import Accuracy, Data, keeps_accuracy


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
