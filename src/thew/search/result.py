"""What a search gives back: a plan, what it was chosen from, and how it was found."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

from thew.compress.accuracy import Accuracy
from thew.ir import Graph
from thew.plan import Plan
from thew.search.pareto import hypervolume


@dataclass(frozen=True, slots=True)
class Point:
    """A plan that was timed as a whole.

    Attributes:
        name: where it came from.
        seconds: of one run, the median.
        estimated_seconds: the sum of its layers in the table; None where the default plan has ways that are not in it.
        peak_memory_bytes: arena and weights.
        weight_bytes: weights as the plan keeps them.
        accuracy: on the samples of the search; None without data.
        energy_joules: of one run; None where it was not asked for.
    """

    name: str
    seconds: float
    estimated_seconds: float | None
    peak_memory_bytes: int
    weight_bytes: int
    accuracy: Accuracy | None = None
    energy_joules: float | None = None


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Accuracy on samples that neither calibration nor search had seen."""

    reference: Accuracy
    found: Accuracy

    @property
    def drop(self) -> float:
        """Share of right answers lost."""
        return self.reference.share - self.found.share


@dataclass(frozen=True, slots=True)
class Rival:
    """A peer that was timed beside the plan (`thew.bench.rivals`).

    Attributes:
        name: of the peer, with the precision of the model that it ran.
        version: of its package.
        seconds: of one run, the median.
        ratio: its time over the plan's, the median over rounds.
    """

    name: str
    version: str
    seconds: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Tried:
    """A dimension of the network, what each of its values was worth, and which was taken. Less is better."""

    name: str
    worth: Mapping[str, float]
    chosen: str


@dataclass(frozen=True, slots=True)
class Other:
    """A way to run a layer that was not chosen.

    Attributes:
        seconds: of the layer alone.
        beside_seconds: what the network's sum would grow by, conversions included; None where it is not known.
    """

    name: str
    seconds: float
    beside_seconds: float | None


@dataclass(frozen=True, slots=True)
class Layer:
    """One node: what was chosen for it, and what else there was.

    Attributes:
        seconds: of the layer alone, in the table.
        bytes: of its result and weights, in its precision.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    chosen: str
    precision: str
    seconds: float
    bytes: int
    others: tuple[Other, ...]


@dataclass(frozen=True)
class Result:
    """The outcome of a search.

    Attributes:
        plan: the best plan that keeps every bound.
        best: its point; `default` that of the plan that Thew makes by itself, `baseline` that of BLAS in fp32.
        confirmation: accuracy on samples that nobody had seen; None without data.
        over_default: the plan's share of the default plan's time, in rounds of their own after all was chosen.
        points: all plans that were timed as whole networks.
        pareto: those of them that none other dominates in time, memory and accuracy.
        history: for each agent that played, its best value after every episode.
        regrets: for each agent, by seed, by what share its best sum is over the least one.
        optimum_seconds: least sum of the table, by exact elimination.
        layers: what was chosen, layer by layer.
        tried: what was tried once for the network.
        settings: what the search was asked for, and the machine.
        model: what the plan belongs to, where that is no longer the model as it was given: the pruned one.
        stages: seconds that each stage of the search took, in order.
        rivals: peers that were timed beside the plan, where that was asked for.
    """

    plan: Plan
    best: Point
    default: Point
    baseline: Point
    confirmation: Confirmation | None
    points: tuple[Point, ...]
    pareto: tuple[Point, ...]
    history: Mapping[str, Sequence[float]]
    regrets: Mapping[str, Sequence[float]]
    optimum_seconds: float
    layers: tuple[Layer, ...]
    tried: tuple[Tried, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    model: Graph | None = None
    over_default: float = 1.0
    stages: Mapping[str, float] = field(default_factory=dict)
    rivals: tuple[Rival, ...] = ()

    @property
    def speedup(self) -> float:
        """The time of BLAS in fp32 over that of the plan."""
        return self.baseline.seconds / self.best.seconds

    @property
    def memory_ratio(self) -> float:
        """Arena and weights of BLAS in fp32 over those of the plan."""
        return self.baseline.peak_memory_bytes / self.best.peak_memory_bytes

    @property
    def hypervolume(self) -> float:
        """The share of the times and memories below those of BLAS in fp32 that some plan is at least as good as."""
        seconds, size = self.baseline.seconds, float(self.baseline.peak_memory_bytes)
        front = [(point.seconds, float(point.peak_memory_bytes)) for point in self.points]
        return hypervolume(front, (seconds, size)) / (seconds * size)

    def report(self, path: str | os.PathLike[str]) -> None:
        """Writes the report, one page that needs nothing else, atomically."""
        from thew.search.report import write_report

        write_report(self, path)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        seen = self.confirmation
        return {
            **{name: _point(getattr(self, name)) for name in ("best", "default", "baseline")},
            "speedup": self.speedup,
            "speedup_over_default": self.default.seconds / self.best.seconds,
            "confirmed_over_default": 1 / self.over_default,
            "memory_ratio": self.memory_ratio,
            "confirmation": None if seen is None else _confirmation(seen),
            "points": [_point(point) for point in self.points],
            "hypervolume": self.hypervolume,
            "regrets": {name: list(values) for name, values in self.regrets.items()},
            "pareto": [_point(point) for point in self.pareto],
            "history": {name: [_finite(value) for value in values] for name, values in self.history.items()},
            "optimum_seconds": self.optimum_seconds,
            "choices": {layer.name: layer.chosen for layer in self.layers},
            "tried": [_tried(one) for one in self.tried],
            "stages": dict(self.stages),
            "rivals": [asdict(one) for one in self.rivals],
            "settings": dict(self.settings),
        }


def _tried(one: Tried) -> dict[str, Any]:
    """What lost too much accuracy has no worth."""
    return {**asdict(one), "worth": {value: _finite(worth) for value, worth in one.worth.items()}}


def _finite(value: float) -> float | None:
    """A value that no plan was found for yet has no number in JSON."""
    return value if isfinite(value) else None


def _confirmation(seen: Confirmation) -> dict[str, Any]:
    return {
        "samples": seen.found.asked,
        "reference": seen.reference.share,
        "found": seen.found.share,
        "interval": list(seen.found.interval),
        "drop": seen.drop,
    }


def _point(point: Point) -> dict[str, Any]:
    accuracy = None if point.accuracy is None else point.accuracy.share
    return {
        "name": point.name,
        "seconds": point.seconds,
        "estimated_seconds": point.estimated_seconds,
        "peak_memory_bytes": point.peak_memory_bytes,
        "weight_bytes": point.weight_bytes,
        "accuracy": accuracy,
        "energy_joules": point.energy_joules,
    }
