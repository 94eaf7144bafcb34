"""What was seen is kept and given again, for the same network and samples alone; what is damaged is looked at anew."""

import sqlite3

import numpy as np
import pytest

from thew import nn
from thew.compress import Calibrator
from thew.compress import observations as kept
from thew.passes.requantise import Quantisation

X = np.random.default_rng(0).standard_normal((12, 3, 8, 8)).astype(np.float32)


def network(seed=0):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(128, 4))
    for array in dict(model.named_parameters()).values():
        array[...] = np.random.default_rng(seed).standard_normal(array.shape)
    return model.graph((1, 3, 8, 8))


def steps(calibrator):
    made = calibrator.quantize()
    return Quantisation.of(made.kept, made.encodings, made.weights)


@pytest.fixture
def looked(monkeypatch):
    """How often samples are run."""
    count = []

    def observe(*arguments, own=kept.observe):
        count.append(1)
        return own(*arguments)

    monkeypatch.setattr(kept, "observe", observe)
    return count


def test_a_second_calibration_runs_nothing(looked, tmp_path):
    first, again = (Calibrator(network(), X, cache=tmp_path / "cache") for _ in range(2))
    assert len(looked) == 1
    assert list(first.seen.histograms) == list(again.seen.histograms)
    for name, histogram in first.seen.histograms.items():
        other = again.seen.histograms[name]
        assert (histogram.low, histogram.high) == (other.low, other.high)
        np.testing.assert_array_equal(histogram.counts, other.counts)
    for name, high in first.seen.channel_highs.items():
        np.testing.assert_array_equal(high, again.seen.channel_highs[name])
    assert steps(first) == steps(again)


def test_others_are_looked_at(looked, tmp_path):
    Calibrator(network(), X, cache=tmp_path / "cache")
    Calibrator(network(1), X, cache=tmp_path / "cache")
    Calibrator(network(), X[:8], cache=tmp_path / "cache")
    assert len(looked) == 3


@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_damage_is_looked_at_anew(looked, tmp_path, damage):
    first = Calibrator(network(), X, cache=tmp_path / "cache")
    with sqlite3.connect(tmp_path / "cache") as connection:
        ((blob,),) = connection.execute("SELECT seen FROM observations").fetchall()
        broken = {"cut": blob[: len(blob) // 2], "text": "no blob", "empty": b""}[damage]
        connection.execute("UPDATE observations SET seen = ?", (broken,))
    again = Calibrator(network(), X, cache=tmp_path / "cache")
    assert len(looked) == 2 and steps(first) == steps(again)
