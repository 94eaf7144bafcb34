"""The rounds, and what is said about them."""

from __future__ import annotations

import itertools
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thew.bench.contender import Contender
from thew.bench.energy import EnergySettings, Spent, measure_energy
from thew.bench.tasks import Task
from thew.errors import Error, InputError

TURN_SECONDS = 0.25  # what one turn should take
MOST_CALLS = 2000
FEWEST_ROUNDS = 3


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        rounds: each gives everybody one turn.
        turn_seconds: what one turn should take.
        most_seconds: fewer rounds, though at least three, where all would take longer than this.
    """

    rounds: int = 20
    turn_seconds: float = TURN_SECONDS
    most_seconds: float | None = None

    def rounds_for(self, seconds: Sequence[float]) -> int:
        """Rounds, where one call of each contender takes this long; a turn has one call more than is timed."""
        if self.most_seconds is None:
            return self.rounds
        round_seconds = sum((_calls(each, self.turn_seconds) + 1) * each for each in seconds)
        return max(min(self.rounds, FEWEST_ROUNDS), min(self.rounds, int(self.most_seconds / round_seconds)))


@dataclass(frozen=True)
class Outcome:
    """What was seen of one contender.

    Attributes:
        seconds: of each round, the median of the turn's calls.
        calls: of every timed call.
        ratio: median over rounds of its time over the first contender's in the same round; above 1 it is slower.
        difference: largest difference from the first contender's outputs, over the largest magnitude there.
        energy: joules a call, where they were measured.
    """

    name: str
    seconds: tuple[float, ...]
    calls: tuple[float, ...]
    ratio: float
    difference: float
    peak_rss_bytes: int
    report: Mapping[str, Any]
    energy: Spent | None = None

    @property
    def median(self) -> float:
        """Median over rounds."""
        return statistics.median(self.seconds)

    @property
    def minimum(self) -> float:
        """The fastest call of all."""
        return min(self.calls)

    def percentile(self, percent: float) -> float:
        """The time that this share of all calls stays within."""
        return float(np.percentile(self.calls, percent))

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it; times in seconds."""
        return {
            "name": self.name,
            "median_seconds": self.median,
            "minimum_seconds": self.minimum,
            "percentiles_seconds": {f"p{percent}": self.percentile(percent) for percent in (50, 90, 99)},
            "timed_calls": len(self.calls),
            "ratio_to_first": self.ratio,
            "rounds_seconds": list(self.seconds),
            "difference_from_first": self.difference,
            "peak_rss_bytes": self.peak_rss_bytes,
            **({"energy": self.energy.to_dict()} if self.energy is not None else {}),
            **{key: self.report[key] for key in ("versions", "settings", "rss_before_bytes") if key in self.report},
        }


@dataclass(frozen=True)
class Measured:
    """All outcomes of one task, the peers that could not take part with the reason, and the load seen."""

    task: Task
    outcomes: tuple[Outcome, ...]
    absent: Mapping[str, str]
    load: Mapping[str, Any]
    peaks: tuple[float, ...]  # operations a second that multiply-adds reach, one a round; empty where not asked for

    def share_of_peak(self, outcome: Outcome, flops: int) -> float | None:
        """Median over rounds of the rate as a share of the peak measured in the same round."""
        if not flops or not self.peaks or not all(self.peaks):
            return None
        return statistics.median(
            flops / seconds / peak for seconds, peak in zip(outcome.seconds, self.peaks, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        task = {key: value for key, value in self.task.to_dict().items() if key != "folder"}
        if "path" in task:
            task["path"] = Path(task["path"]).name  # where it lay on this machine says nothing
        outcomes = [outcome.to_dict() for outcome in self.outcomes]
        return {
            "task": task,
            "contenders": outcomes,
            "absent": dict(self.absent),
            "load": dict(self.load),
            "peak_flops": list(self.peaks),
        }


def measure(
    task: Task,
    names: Sequence[str],
    settings: Settings,
    tick: Callable[[str], None] = lambda name: None,
    peak: Callable[[], float] | None = None,
    energy: EnergySettings | None = None,
) -> Measured:
    """Measures contenders, interleaved. The first name is what the others are compared with.

    Args:
        task: the work.
        names: contenders, the first one the measure of the others; one that cannot take part is left out.
        settings: rounds and length of a turn.
        tick: told after each turn.
        peak: measures the machine's peak, once a round while everybody else is stopped.
        energy: also measure joules, after the rounds.

    Raises:
        UnsupportedError: the first contender cannot do it.
        InputError: no round is asked for.
    """
    if settings.rounds < 1:
        raise InputError(f"bench: rounds must be at least 1, got {settings.rounds}")
    absent: dict[str, str] = {}
    before = os.getloadavg()
    with ExitStack() as stack:
        contenders = []
        for name in dict.fromkeys(names):
            try:
                contender = stack.enter_context(Contender(name, task))
                contender.prepare()
                contenders.append(contender)
            except Error as failure:
                if not contenders:
                    raise
                absent[name] = str(failure)
        calls = {c.name: _calls(min(c.report["seconds"]), settings.turn_seconds) for c in contenders}
        turns: dict[str, list[tuple[float, ...]]] = {contender.name: [] for contender in contenders}
        peaks: list[float] = []
        rounds = settings.rounds_for([min(c.report["seconds"]) for c in contenders])
        for index in range(rounds):
            if peak is not None:
                peaks.append(peak())
            shift = index % len(contenders)
            for contender in contenders[shift:] + contenders[:shift]:
                turns[contender.name].append(contender.turn(calls[contender.name]).seconds)
                tick(contender.name)
        spent = {}
        if energy is not None:
            lasts = {name: statistics.median(map(statistics.median, each)) for name, each in turns.items()}
            spent = measure_energy(contenders, lasts, energy, tick)
        ends = {contender.name: contender.outputs() for contender in contenders}
    load = {
        "before": before,
        "after": os.getloadavg(),
        "cpus": os.cpu_count(),
        "rounds": rounds,
        "calls": calls,
    }
    first = contenders[0].name
    outcomes = tuple(_outcome(c, turns, first, ends, spent.get(c.name)) for c in contenders)
    return Measured(task, outcomes, absent, load, tuple(peaks))


def _calls(seconds: float, turn_seconds: float) -> int:
    return max(1, min(MOST_CALLS, round(turn_seconds / max(seconds, 1e-9))))


def _outcome(
    contender: Contender,
    turns: Mapping[str, list[tuple[float, ...]]],
    first: str,
    ends: Mapping[str, Any],
    energy: Spent | None = None,
) -> Outcome:
    medians = tuple(statistics.median(turn) for turn in turns[contender.name])
    base = [statistics.median(turn) for turn in turns[first]]
    ratio = statistics.median(own / other for own, other in zip(medians, base, strict=True))
    outputs, peak = ends[contender.name]
    calls = tuple(itertools.chain.from_iterable(turns[contender.name]))
    difference = max(relative_difference(a, b) for a, b in zip(outputs, ends[first][0], strict=False))
    return Outcome(contender.name, medians, calls, ratio, difference, peak, contender.report, energy)


def relative_difference(one: Any, other: Any) -> float:
    """The largest difference over the largest magnitude; infinite where shapes differ or one is not finite alone."""
    if one.shape != other.shape:
        return float("inf")
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if not np.array_equal(np.isfinite(one), np.isfinite(other)):
        return float("inf")
    finite = np.isfinite(one)
    largest = float(np.abs(other[finite]).max(initial=0.0))
    difference = float(np.abs(one[finite] - other[finite]).max(initial=0.0))
    return difference / largest if largest else difference
