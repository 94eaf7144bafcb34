"""How often ways are measured: until they are certain, or hopeless, or as they were under another version."""

import pytest

from thew.runtime.cache import Cache, Measurement
from thew.search import measure as measuring
from thew.search.measure import ROUNDS, Trial, measure


@pytest.fixture
def clock(monkeypatch):
    """Ways take what this says, by name; samples are counted."""
    seconds, taken = {}, {}

    def sample(run, calls):
        name = run()
        taken[name] = taken.get(name, -1) + 1  # the first only tells how many calls a sample is
        value = seconds[name]
        return value[taken[name] % len(value)] if isinstance(value, tuple) else value

    monkeypatch.setattr(measuring, "_sample", sample)
    seconds.update(fast=1.0, slow=5.0, noisy=(1.0, 1.3, 1.6))
    return seconds, taken


def trials(*names):
    return [Trial(name, "layer", lambda name=name: lambda: name) for name in names]


def test_the_certain_and_the_hopeless_are_left_after_a_few_rounds(clock):
    _, taken = clock
    known, refused = measure(trials("fast", "slow", "noisy"), Cache("device", "1"))
    assert (taken["fast"], taken["slow"]) == (ROUNDS[0], ROUNDS[0]) and taken["noisy"] == ROUNDS[1]
    assert known["fast"].seconds == 1.0 and known["slow"].seconds == 5.0 and not refused


def test_what_was_known_under_another_version_is_looked_at_again_shortly(clock, tmp_path):
    seconds, taken = clock
    old = Cache("device", "1", tmp_path / "cache")
    old.add([Measurement("fast", 1.05, 0.0, 9), Measurement("slow", 5.0, 0.0, 9), Measurement("noisy", 1.3, 0.0, 9)])
    old.add([Measurement("mended", 9.0, 0.0, 9)])
    seconds["mended"] = 0.9
    known, _ = measure(trials("fast", "slow", "noisy", "mended"), Cache("device", "2", tmp_path / "cache"))
    assert taken == {"fast": ROUNDS[0], "slow": 1, "noisy": ROUNDS[0], "mended": 1 + ROUNDS[0]}
    assert {name: known[name].seconds for name in seconds} == {"fast": 1.0, "slow": 5.0, "noisy": 1.3, "mended": 0.9}
    assert Cache("other", "2", tmp_path / "cache").near() == {}


def test_a_layer_of_which_nothing_runs_is_passed_over():
    from thew.errors import UnsupportedError

    def refuse():
        raise UnsupportedError("no kernel: must be one, got none")

    known, refused = measure([Trial("way", "layer", refuse)], Cache("device", "1"))
    assert not known and refused == {"way"}
