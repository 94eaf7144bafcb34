"""The soak of training: samples once the replay memory is full, and a process that is idle when it is over."""

from __future__ import annotations

import pytest

from thew.bench import soak as long_training

pytest.importorskip("gymnasium")


def test_samples_begin_when_the_replay_is_full(monkeypatch):
    monkeypatch.setattr(long_training, "_IDLE_SECONDS", 0.3)
    monkeypatch.setattr(long_training, "_SLOTS", 600)
    monkeypatch.setattr(long_training, "_ROW", 200)
    found = long_training.soak("CartPole-v1", seconds=0.5, period=0.0)
    steps = [sample["steps"] for sample in found["samples"]]
    assert (
        len(steps) > 1
        and steps[0] >= 600
        and steps == sorted(steps)
        and all(s["updates"] > 0 for s in found["samples"])
    )
    assert found["growth_bytes"] == found["samples"][-1]["resident_bytes"] - found["samples"][0]["resident_bytes"]
    assert found["idle_share"] < 0.5  # what spins takes a core or more
