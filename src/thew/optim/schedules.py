"""Schedules: the factor of the learning rate at each step, counted from 0.

A schedule is a function of the step alone, save for `ReduceOnPlateau`, which watches a metric once an epoch; `to_dict`
holds all of it, so that a checkpoint does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from thew.errors import InputError


@dataclass
class Schedule:
    """A factor for every step."""

    def factor(self, step: int) -> float:
        """What the learning rate is multiplied by at a step."""
        raise NotImplementedError

    def observe(self, metric: float) -> None:
        """Hears how good the model is, after each epoch: smaller is better."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON: name, arguments and progress."""
        return {"schedule": type(self).__name__, **asdict(self)}


@dataclass
class Constant(Schedule):
    """No change."""

    def factor(self, step: int) -> float:
        """1."""
        return 1.0


@dataclass
class Step(Schedule):
    """Times `gamma` every `step_size` steps."""

    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        if self.step_size < 1:
            raise InputError(f"Step: step_size must be at least 1, got {self.step_size!r}")

    def factor(self, step: int) -> float:
        """gamma^⌊step / step_size⌋."""
        return float(self.gamma ** (step // self.step_size))


@dataclass
class MultiStep(Schedule):
    """Times `gamma` at each of some steps."""

    milestones: Sequence[int]
    gamma: float = 0.1

    def factor(self, step: int) -> float:
        """gamma^(milestones reached)."""
        return float(self.gamma ** sum(step >= milestone for milestone in self.milestones))


@dataclass
class Exponential(Schedule):
    """Times `gamma` at every step."""

    gamma: float

    def factor(self, step: int) -> float:
        """gamma^step."""
        return float(self.gamma**step)


@dataclass
class CosineAnnealing(Schedule):
    """Half a cosine from 1 to `least` over `total_steps` (Loshchilov and Hutter 2017); `least` from then on."""

    total_steps: int
    least: float = 0.0

    def factor(self, step: int) -> float:
        """least + (1 − least) · (1 + cos(π · step / total)) / 2."""
        share = min(step / max(self.total_steps, 1), 1.0)
        return self.least + (1 - self.least) * (1 + math.cos(math.pi * share)) / 2


@dataclass
class OneCycle(Schedule):
    """Up from 1 / `start` to 1 over the first `up` of the steps, then down to 1 / `end`, along cosines (Smith 2018)."""

    total_steps: int
    up: float = 0.3
    start: float = 25.0
    end: float = 1e4

    def factor(self, step: int) -> float:
        """Of the peak, which is the optimiser's learning rate."""
        share = min(step / max(self.total_steps, 1), 1.0)
        low, high, along = (1 / self.start, 1.0, share / self.up) if share < self.up else (
            1 / self.end, 1.0, 1 - (share - self.up) / max(1 - self.up, 1e-12)
        )  # fmt: skip
        return low + (high - low) * (1 - math.cos(math.pi * along)) / 2


@dataclass
class Warmup(Schedule):
    """Rises linearly over the first steps, then follows another schedule, which counts from there."""

    steps: int
    then: Schedule

    def factor(self, step: int) -> float:
        """(step + 1) / steps at first."""
        if step < self.steps:
            return (step + 1) / self.steps * self.then.factor(0)
        return self.then.factor(step - self.steps)

    def observe(self, metric: float) -> None:
        """Passes it on."""
        self.then.observe(metric)

    def to_dict(self) -> dict[str, Any]:
        """With the schedule that follows."""
        return {"schedule": "Warmup", "steps": self.steps, "then": self.then.to_dict()}


@dataclass
class ReduceOnPlateau(Schedule):
    """Times `gamma` whenever the metric has not fallen by the share `threshold` for more than `patience` epochs."""

    gamma: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    least: float = 0.0
    best: float = math.inf
    waited: int = 0
    current: float = 1.0

    def factor(self, step: int) -> float:
        """What the metric has left of 1."""
        return self.current

    def observe(self, metric: float) -> None:
        """One epoch's metric."""
        if metric < self.best * (1 - self.threshold):
            self.best, self.waited = metric, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.current, self.waited = max(self.current * self.gamma, self.least), 0


_SCHEDULES = (Constant, Step, MultiStep, Exponential, CosineAnnealing, OneCycle, Warmup, ReduceOnPlateau)


def schedule_from(description: Mapping[str, Any]) -> Schedule:
    """The schedule that `Schedule.to_dict` described. Raises InputError for one that is not known."""
    given = dict(description)
    name = given.pop("schedule", None)
    for kind in _SCHEDULES:
        if kind.__name__ == name and set(given) == {field.name for field in fields(kind)}:
            if kind is Warmup:
                given["then"] = schedule_from(given["then"])
            return kind(**given)
    raise InputError(f"schedule: must be one of {', '.join(kind.__name__ for kind in _SCHEDULES)}, got {name!r}")
