"""What a search is for: which quantities are to be least, and which bounds must hold.

Latency is additive and comes from the table. Memory, size and accuracy are those of the whole plan: it is built to know
them, but only for assignments that would otherwise be the best so far, since for the others nothing depends on it.
Energy is measured on whole networks; until then the faster one stands for the thriftier one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Protocol

from thew.errors import InputError
from thew.plan import Plan
from thew.search.game import Assignment, Table
from thew.search.result import Point
from thew.search.trial import Network

LATENCY, PARETO = "latency", "pareto"
_TIMES = (LATENCY, "throughput", "energy", PARETO)  # what the time of a run decides within the table
_OF_PLAN: Mapping[str, Callable[[Plan], float]] = {
    "memory": lambda plan: float(plan.peak_memory_bytes),
    "size": lambda plan: float(plan.packed_bytes + plan.constant_bytes),
}
_OF_POINT: Mapping[str, Callable[[Point], float]] = {
    LATENCY: lambda point: point.seconds,
    "throughput": lambda point: point.seconds,
    "energy": lambda point: inf if point.energy_joules is None else point.energy_joules,
    "memory": lambda point: float(point.peak_memory_bytes),
    "size": lambda point: float(point.weight_bytes),
}
OBJECTIVES = (*_OF_POINT, PARETO)
_TIE = 1e-6  # of an objective that is no time, per second: of equal plans the faster one


@dataclass(frozen=True)
class Objective:
    """Quantities with their weights.

    Attributes:
        weights: by quantity. Of several, each counts in units of the default plan's.
        max_memory_bytes: bound of arena and weights; None for any.
        max_energy_joules: bound of one run; None for any.
        max_accuracy_drop: share of accuracy that may be lost; None for any.
    """

    weights: Mapping[str, float]
    max_memory_bytes: int | None = None
    max_energy_joules: float | None = None
    max_accuracy_drop: float | None = None

    def __post_init__(self) -> None:
        for name, bound in (("max_memory_bytes", self.max_memory_bytes), ("max_energy_joules", self.max_energy_joules)):
            if bound is not None and not isinstance(bound, int | float):
                raise InputError(f"{name}: must be a number, or None, got {bound!r}")

    @staticmethod
    def parse(given: str | Mapping[str, float]) -> Mapping[str, float]:
        """Weights from a name or from weights. Raises InputError for a quantity that there is not."""
        weights = dict(given) if isinstance(given, Mapping) else {given: 1.0}
        known = OBJECTIVES if isinstance(given, str) else tuple(_OF_POINT)
        wrong = [name for name, weight in weights.items() if name not in known or not (isfinite(weight) and weight > 0)]
        if wrong or not weights:
            raise InputError(
                f"objective: must be among {', '.join(known)}, or such names with weights above 0, got {given!r}"
            )
        return weights

    @property
    def is_time(self) -> bool:
        """Whether the time of a run alone decides."""
        return all(name in (LATENCY, "throughput") for name in self.weights)

    @property
    def needs_energy(self) -> bool:
        """Whether energy must be measured."""
        return "energy" in self.weights or self.max_energy_joules is not None

    def of_plan(self, seconds: float, plan: Plan, usual: tuple[float, Plan]) -> float:
        """The value of a plan that takes `seconds`; of several quantities, each in units of the usual plan's."""
        if len(self.weights) == 1:
            (name,) = self.weights
            return seconds if name in _TIMES else _OF_PLAN[name](plan) + _TIE * seconds
        return sum(
            weight * (seconds / usual[0] if name in _TIMES else _OF_PLAN[name](plan) / _OF_PLAN[name](usual[1]))
            for name, weight in self.weights.items()
        )

    def of_point(self, point: Point, default: Point) -> tuple[float, float]:
        """The value of a plan that was timed; of equal ones the faster."""
        if PARETO in self.weights:
            return point.seconds, point.peak_memory_bytes
        value = sum(w * _OF_POINT[name](point) / _OF_POINT[name](default) for name, w in self.weights.items())
        return value, point.seconds

    def allows(self, point: Point) -> bool:
        """Whether memory and energy stay in bounds."""
        too_large = self.max_memory_bytes is not None and point.peak_memory_bytes > self.max_memory_bytes
        energy = point.energy_joules
        too_hungry = self.max_energy_joules is not None and (energy is None or energy > self.max_energy_joules)
        return not too_large and not too_hungry


class Builder(Protocol):
    """Where assignments become networks."""

    def network(self, chosen: Assignment) -> Network | None:
        """The network of an assignment; None where there is none."""

    def accuracy_key(self, chosen: Assignment) -> Hashable:
        """What the accuracy of an assignment depends on."""


@dataclass
class Goal:
    """The value of an assignment: a table's `extra`.

    Attributes:
        builder: makes networks.
        table: the additive part, in seconds.
        objective: what is to be least, and within which bounds.
        usual: seconds and plan that are the units of weighted quantities.
        keeps: whether the accuracy of a network stays in bounds.

    Agents that share a goal share what is known to be possible: what is worse needs no plan and no accuracy.
    """

    builder: Builder
    table: Table
    objective: Objective
    usual: tuple[float, Plan]
    keeps: Callable[[Network, Hashable], bool] = lambda network, key: True
    best: float = inf
    _known: dict[Assignment, float] = field(default_factory=dict)

    def __call__(self, chosen: Assignment) -> float:
        """What the assignment costs beyond its sum of seconds."""
        if chosen not in self._known:
            self._known[chosen] = self._extra(chosen)
        return self._known[chosen]

    def _extra(self, chosen: Assignment) -> float:
        seconds, objective = self.table.total(chosen), self.objective
        is_time = all(name in _TIMES for name in objective.weights) and len(objective.weights) == 1
        bounded = objective.max_memory_bytes is not None or objective.max_accuracy_drop is not None
        if is_time and (not bounded or seconds >= self.best):
            return 0.0
        network = self.builder.network(chosen)
        if network is None:
            return inf
        most = objective.max_memory_bytes
        value = objective.of_plan(seconds, network.plan, self.usual)
        if most is not None and network.plan.peak_memory_bytes > most:
            return inf
        if value < self.best:
            if objective.max_accuracy_drop is not None and not self.keeps(network, self.builder.accuracy_key(chosen)):
                return inf
            self.best = value
        return value - seconds
