"""Joules that one call of each contender takes above idle, interleaved as times are.

A round first watches the idle machine, everybody stopped, then gives each contender a turn while a meter runs. What is
quoted is the median over rounds of (energy of the turn - idle power × its length) / calls.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from thew.bench.contender import Contender
from thew.errors import SensorError
from thew.runtime.energy import StreamMeter, choose_meter
from thew.runtime.energy.meter import EnergyMeter


@dataclass(frozen=True)
class EnergySettings:
    """How to measure: long turns, since sensors are slow."""

    meter: EnergyMeter
    rounds: int = 3
    turn_seconds: float = 3.0
    idle_seconds: float = 2.0


@contextmanager
def watched(path: str | None) -> Iterator[tuple[EnergySettings | None, str]]:
    """Settings with a running meter: an external one's stream where a path is given ("-": standard input), else the
    best sensor of this machine; None, and why, where it has none.

    Raises:
        SensorError: the external meter cannot be read.
    """
    try:
        meter: EnergyMeter = StreamMeter(path) if path is not None else choose_meter()
    except SensorError as missing:
        yield None, str(missing)
        return
    with meter:
        yield EnergySettings(meter), meter.source


@dataclass(frozen=True)
class Spent:
    """What one contender took, a value a round."""

    joules_per_call: tuple[float, ...]
    watts: tuple[float, ...]
    idle_watts: tuple[float, ...]
    mhz: tuple[float | None, ...]
    source: str

    @property
    def median(self) -> float:
        """Joules of a call above idle."""
        return statistics.median(self.joules_per_call)

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "source": self.source,
            "joules_per_call_above_idle": self.median,
            "rounds_joules": list(self.joules_per_call),
            "watts": statistics.median(self.watts),
            "idle_watts": statistics.median(self.idle_watts),
            "mhz": list(self.mhz),
        }


def measure_energy(
    contenders: Sequence[Contender],
    calls: Mapping[str, float],
    settings: EnergySettings,
    tick: Callable[[str], None] = lambda name: None,
) -> dict[str, Spent]:
    """Energy of each contender, by name.

    Args:
        contenders: prepared, and stopped.
        calls: seconds that one call of each takes.
        settings: the meter (already entered), rounds and lengths.
        tick: told after each turn.

    Raises:
        SensorError: the meter cannot be read, or does not cover a turn.
    """
    meter = settings.meter
    rows: dict[str, list[tuple[float, float, float, float | None]]] = {c.name: [] for c in contenders}
    for index in range(settings.rounds):
        started = meter.mark()
        time.sleep(settings.idle_seconds)
        idle = meter.between(started, meter.mark()).watts
        shift = index % len(contenders)
        for contender in [*contenders[shift:], *contenders[:shift]]:
            wanted = max(1, round(settings.turn_seconds / max(calls[contender.name], 1e-9)))
            begin = meter.mark()
            turn = contender.turn(wanted)
            reading = meter.between(begin, meter.mark())
            above = reading.joules - idle * reading.seconds
            rows[contender.name].append((above / (wanted + 1), reading.watts, idle, turn.mhz))  # one is not timed
            tick(contender.name)
    return {name: _spent(values, meter.source) for name, values in rows.items()}


def _spent(rows: Sequence[tuple[float, float, float, float | None]], source: str) -> Spent:
    joules, watts, idle, mhz = zip(*rows, strict=True)
    return Spent(joules, watts, idle, mhz, source)
