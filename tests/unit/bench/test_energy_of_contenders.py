"""Joules of a call above idle, with a meter and contenders whose consumption is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from thew.bench.contender import Turn
from thew.bench.energy import EnergySettings, measure_energy, watched
from thew.errors import SensorError
from thew.runtime.energy import Reading


class World:
    """A clock and an energy counter: 2 W when idle; contender a takes 10 W for 1 s a call, b 4 W for 3 s."""

    source = "world"

    def __init__(self) -> None:
        self.now = self.joules = 0.0

    def spend(self, seconds: float, watts: float) -> None:
        self.now += seconds
        self.joules += watts * seconds

    def mark(self) -> Any:
        return self.now, self.joules

    def between(self, first: Any, last: Any) -> Reading:
        return Reading(last[0] - first[0], last[1] - first[1])


def test_idle_power_is_taken_away_and_untimed_calls_count(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr("time.sleep", lambda seconds: world.spend(seconds, 2.0))

    def contender(name: str, seconds: float, watts: float) -> Any:
        def turn(calls: int) -> Turn:
            world.spend((calls + 1) * seconds, watts)
            return Turn((seconds,) * calls, 1500.0)

        return SimpleNamespace(name=name, turn=turn)

    both = [contender("a", 1.0, 10.0), contender("b", 3.0, 4.0)]
    ticks: list[str] = []
    settings = EnergySettings(world, rounds=2, turn_seconds=4.0, idle_seconds=1.0)  # type: ignore[arg-type]
    spent = measure_energy(both, {"a": 1.0, "b": 3.0}, settings, ticks.append)
    assert spent["a"].median == pytest.approx(8.0)
    assert spent["b"].median == pytest.approx(6.0)
    assert spent["b"].to_dict()["watts"] == pytest.approx(4.0)
    assert spent["a"].to_dict()["idle_watts"] == pytest.approx(2.0)
    assert spent["a"].to_dict()["mhz"] == [1500.0, 1500.0]
    assert ticks == ["a", "b", "b", "a"]


def test_a_machine_without_sensors_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Any:
        raise SensorError("energy: none")

    monkeypatch.setattr("thew.bench.energy.choose_meter", none)
    with watched(None) as (settings, reason):
        assert settings is None
        assert reason == "energy: none"
    with pytest.raises(SensorError, match="start the meter"), watched("/nowhere.csv"):
        pass
