"""Joules between two moments, from the sensors of one source.

A thread reads the sensors at their pace and keeps one running sum each: a counter adds its difference (and its range
where it wrapped), a power adds the trapezoid since the reading before. A mark reads once more, so that both ends of a
stretch are exact in time; its energy is the difference of two marks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from thew.errors import SensorError
from thew.runtime.energy.sensor import Sensor
from thew.runtime.energy.sources import sensors


@dataclass(frozen=True, slots=True)
class Reading:
    """What was consumed over a stretch of time."""

    seconds: float
    joules: float
    joules_by_sensor: Mapping[str, float] = field(default_factory=dict)

    @property
    def watts(self) -> float:
        """Mean power."""
        return self.joules / self.seconds


class EnergyMeter(Protocol):
    """Measures stretches of time; use as a context manager."""

    source: str

    def mark(self) -> Any:
        """A moment, as `between` takes it."""

    def between(self, first: Any, last: Any) -> Reading:
        """What was consumed from the first mark to the last."""

    def __enter__(self) -> EnergyMeter: ...
    def __exit__(self, *failure: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment, and what every sensor has added up until then."""

    seconds: float
    joules: tuple[float, ...]


class Meter:
    """The sensors of one source, read in the background.

    Args:
        sensors: of one source. Those that are counted make the total; the others are reported beside it.

    Raises:
        SensorError: on entry, in `mark` and in `between`, where a sensor cannot be read.
    """

    def __init__(self, sensors: Sequence[Sensor]) -> None:
        self.source = sensors[0].kind
        self._sensors = tuple(sensors)
        self._period = max(sensor.period_seconds for sensor in sensors)
        self._lock = threading.Lock()  # of what follows
        self._last: tuple[float, ...] = ()
        self._time = 0.0
        self._sums = [0.0] * len(self._sensors)
        self._failure: SensorError | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Meter:
        self._time, self._last = self._read()
        self._thread = threading.Thread(target=self._watch, name="thew-energy", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def mark(self) -> Mark:
        """Reads all sensors now."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._add()
            return Mark(self._time, tuple(self._sums))

    def between(self, first: Mark, last: Mark) -> Reading:
        """The difference of two marks."""
        spent = [after - before for before, after in zip(first.joules, last.joules, strict=True)]
        counted = (joules for sensor, joules in zip(self._sensors, spent, strict=True) if sensor.is_counted)
        names = (sensor.name for sensor in self._sensors)
        return Reading(last.seconds - first.seconds, sum(counted), dict(zip(names, spent, strict=True)))

    def _read(self) -> tuple[float, tuple[float, ...]]:
        """All values, and the middle of the time that reading took."""
        started = time.perf_counter()
        values = tuple(sensor.read() for sensor in self._sensors)
        return (started + time.perf_counter()) / 2, values

    def _add(self) -> None:
        now, values = self._read()
        for index, (sensor, before, value) in enumerate(zip(self._sensors, self._last, values, strict=True)):
            if sensor.quantity == "power":
                self._sums[index] += (before + value) / 2 * (now - self._time)
            else:
                self._sums[index] += difference(sensor, before, value)
        self._time, self._last = now, values

    def _watch(self) -> None:
        while not self._stop.wait(self._period):
            with self._lock:
                try:
                    self._add()
                except SensorError as failure:
                    self._failure = failure
                    return


def difference(sensor: Sensor, before: float, value: float) -> float:
    """What a counter grew by; it may have wrapped once. Raises SensorError where that cannot be."""
    if value >= before:
        return value - before
    if before > sensor.wrap_joules:
        raise SensorError(
            f"sensor {sensor.name}: a counter must grow or wrap at {sensor.wrap_joules:.0f} J, "
            f"got {value} after {before}"
        )
    return value - before + sensor.wrap_joules


def choose_meter(root: Path = Path("/sys")) -> Meter:
    """A meter of the best source that can be read here.

    Raises:
        SensorError: there is none; the message says what was found and may not be read.
    """
    found = sensors(root)
    for kind in dict.fromkeys(sensor.kind for sensor in found):
        usable = [sensor for sensor in found if sensor.kind == kind and sensor.is_readable]
        if any(sensor.is_counted for sensor in usable):
            return Meter(usable)
    locked = ", ".join(str(sensor) for sensor in found) or "none"
    raise SensorError(
        f"energy: this machine must have a sensor that this user may read, got {locked}; "
        "run as administrator, or give an external meter's readings with --meter FILE"
    )
