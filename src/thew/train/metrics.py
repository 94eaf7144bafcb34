"""Metrics of predictions, and means of them over batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from thew.errors import InputError
from thew.ir.graph import Array

Metric = Callable[[Array, Array], float]


def accuracy(prediction: Array, target: Array, ignored: int | None = None) -> float:
    """Share of targets that are the class of the largest output (axis 1); `ignored` stands for no class."""
    return _share(prediction.argmax(1) == target, target, ignored)


def top5(prediction: Array, target: Array, ignored: int | None = None) -> float:
    """Share of targets that are among the five largest outputs; `ignored` stands for no class."""
    best = np.argsort(-prediction, axis=1, kind="stable")[:, :5]
    return _share((best == np.expand_dims(target, 1)).any(1), target, ignored)


def _share(hits: Array, target: Array, ignored: int | None) -> float:
    counted = hits if ignored is None else hits[target != ignored]
    return float(np.mean(counted)) if counted.size else 0.0


def mean_absolute_error(prediction: Array, target: Array) -> float:
    """Mean of |prediction − target|."""
    return float(np.mean(np.abs(prediction - target)))


_OF_CLASSES: Mapping[str, Callable[[Array, Array, int | None], float]] = {"accuracy": accuracy, "top5": top5}
METRICS: Mapping[str, Metric] = {"accuracy": accuracy, "top5": top5, "mean_absolute_error": mean_absolute_error}


def metrics_of(names: Sequence[str] | None, targets_are_classes: bool, ignored: int | None = None) -> dict[str, Metric]:
    """The metrics of these names; accuracy where none are named and targets are classes. `ignored` is no class."""
    if names is None:
        names = ("accuracy",) if targets_are_classes else ()
    if isinstance(names, str):
        raise InputError(f"metrics: must be a list of names, got '{names}'; put it in one")
    for name in names:
        if name not in METRICS:
            raise InputError(f"metrics: must be among {', '.join(METRICS)}, got {name!r}")
    return {name: _counting(name, ignored) for name in names}


def _counting(name: str, ignored: int | None) -> Metric:
    by_class = _OF_CLASSES.get(name)
    return METRICS[name] if by_class is None else lambda prediction, target: by_class(prediction, target, ignored)


class Means:
    """Means over samples of what is known of batches; plain numbers, so that a checkpoint can hold them."""

    def __init__(self, sums: Mapping[str, float] | None = None) -> None:
        self.sums: dict[str, float] = dict(sums or {"samples": 0})

    def add(self, count: int, values: Mapping[str, float]) -> None:
        """Enters a batch of so many samples."""
        self.sums["samples"] += count
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * count

    def means(self) -> dict[str, float]:
        """The means so far."""
        count = self.sums["samples"]
        return {name: total / count for name, total in self.sums.items() if name != "samples"} if count else {}


def merged(parts: Iterable[Means]) -> Means:
    """The means over all samples of which parts have been seen."""
    whole = Means()
    for part in parts:
        for name, total in part.sums.items():
            whole.sums[name] = whole.sums.get(name, 0.0) + total
    return whole
