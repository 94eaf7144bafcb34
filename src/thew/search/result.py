"""What a search gives back: a plan, what it was chosen from, and how it was found."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from thew.compress.accuracy import Accuracy
from thew.plan import Plan


@dataclass(frozen=True, slots=True)
class Point:
    """A plan that was timed as a whole.

    Attributes:
        name: where it came from.
        seconds: of one run, the median.
        estimated_seconds: the sum of its layers in the table; None for the default plan.
        peak_memory_bytes: arena and weights.
        weight_bytes: weights as the plan keeps them.
        accuracy: on the data; None without data.
    """

    name: str
    seconds: float
    estimated_seconds: float | None
    peak_memory_bytes: int
    weight_bytes: int
    accuracy: Accuracy | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One node: what was chosen for it, and what else there was, each with its seconds."""

    name: str
    op: str
    shape: tuple[int, ...]
    chosen: str
    seconds: float
    others: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Result:
    """The outcome of a search.

    Attributes:
        plan: the best plan that keeps every bound.
        best: its point; `default` that of the plan that Thew makes by itself.
        pareto: the points that none other dominates in time, memory and accuracy.
        history: for each agent that played, its best value after every episode.
        optimum_seconds: least sum of the table, by exact elimination.
        layers: what was chosen, layer by layer.
        settings: what the search was asked for, and the machine.
    """

    plan: Plan
    best: Point
    default: Point
    pareto: tuple[Point, ...]
    history: Mapping[str, Sequence[float]]
    optimum_seconds: float
    layers: tuple[Layer, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def report(self, path: str | os.PathLike[str]) -> None:
        """Writes the report, one page that needs nothing else, atomically."""
        from thew.search.report import write_report

        write_report(self, path)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        points = {"best": _point(self.best), "default": _point(self.default)}
        return {
            **points,
            "speedup": self.default.seconds / self.best.seconds,
            "pareto": [_point(point) for point in self.pareto],
            "history": {name: [_finite(value) for value in values] for name, values in self.history.items()},
            "optimum_seconds": self.optimum_seconds,
            "choices": {layer.name: layer.chosen for layer in self.layers},
            "settings": dict(self.settings),
        }


def _finite(value: float) -> float | None:
    """A value that no plan was found for yet has no number in JSON."""
    return value if isfinite(value) else None


def _point(point: Point) -> dict[str, Any]:
    accuracy = None if point.accuracy is None else point.accuracy.share
    return {
        "name": point.name,
        "seconds": point.seconds,
        "estimated_seconds": point.estimated_seconds,
        "peak_memory_bytes": point.peak_memory_bytes,
        "weight_bytes": point.weight_bytes,
        "accuracy": accuracy,
    }
